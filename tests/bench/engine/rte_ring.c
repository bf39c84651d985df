/* SPDX-License-Identifier: BSD-3-Clause
 * The same logic around DPDK's rte_ring, single producer and single consumer, on memory of its own (no EAL).
 *
 * rte_ring has no look at its head without taking it, so the head waits outside. */
#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "candidate.h"

#define WORK_RING_SIZE 128U
#define MAX_ATTEMPTS 1000

struct work_item {
    bench_work_func work_func;
    void *port;
    uint16_t qid;
    uint32_t attempts;
};

struct work_ring {
    struct rte_ring *items;
    struct work_item head;
    bool has_head;
    uint64_t work_deferred;
    uint64_t work_in_progress;
    uint64_t work_ring_full;
    uint64_t work_done;
    uint64_t work_dropped;
};

static struct work_ring *ring;
static struct bench_variant variant;
static uint32_t next_queue;

static inline int do_work(struct work_ring *r) {
    struct work_item *item = &r->head;
    if (!r->has_head) {
        if (rte_ring_sc_dequeue_elem(r->items, item, sizeof(*item)) != 0) {
            return -ENOENT;
        }
        r->has_head = true;
    }
    int result = item->work_func(item->port, item->qid, false);
    if (result == -EINPROGRESS) {
        r->work_in_progress++;
        if (item->attempts < MAX_ATTEMPTS) {
            item->attempts++;
            return -EINPROGRESS;
        }
        result = item->work_func(item->port, item->qid, true);
        if (result != 0) {
            r->work_dropped++;
            r->has_head = false;
            return 0;
        }
    }
    r->work_done++;
    r->has_head = false;
    return 0;
}

static inline void defer(struct work_ring *r, bench_work_func work_func, void *port, uint16_t qid) {
    struct work_item item = {.work_func = work_func, .port = port, .qid = qid, .attempts = 0};
    if (rte_ring_sp_enqueue_elem(r->items, &item, sizeof(item)) != 0) {
        r->work_ring_full++;
        do {
            do_work(r);
        } while (rte_ring_sp_enqueue_elem(r->items, &item, sizeof(item)) != 0);
    }
    r->work_deferred++;
}

static inline __attribute__((always_inline)) void defer_next(void) {
    const struct bench_tx_port *tx = &bench_tx_ports[next_queue++ & (variant.queues - 1)];
    defer(ring, tx->work_func, tx->port, tx->qid);
}

static void prepare(const struct bench_variant *wanted) {
    if (ring == NULL) {
        const ssize_t size = rte_ring_get_memsize_elem(sizeof(struct work_item), WORK_RING_SIZE);
        ring = calloc(1, sizeof(*ring));
        ring->items = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL((size_t)size, RTE_CACHE_LINE_SIZE));
    }
    if (rte_ring_init(ring->items, "work", WORK_RING_SIZE, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        abort();
    }
    ring->has_head = false;
    variant = *wanted;
    bench_set_tx_ports(wanted);
    next_queue = 0;
    for (uint32_t i = 1; i < variant.depth; i++) {
        defer_next();
    }
}

static void round_trips(uint64_t count) {
    while (count-- > 0) {
        defer_next();
        while (do_work(ring) != 0) {
        }
    }
}

const struct bench_candidate bench_rte_ring = {prepare, round_trips};
