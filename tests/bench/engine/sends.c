/* SPDX-License-Identifier: BSD-3-Clause
 * The sends that all candidates defer. */
#include <errno.h>

#include "candidate.h"

struct bench_port bench_port;

int bench_done(void *port, uint16_t qid, bool force) {
    (void)qid;
    (void)force;
    ((struct bench_port *)port)->calls++;
    return 0;
}

int bench_in_progress_once(void *port, uint16_t qid, bool force) {
    (void)qid;
    (void)force;
    return (((struct bench_port *)port)->calls++ & 1) == 0 ? -EINPROGRESS : 0;
}

struct bench_tx_port bench_tx_ports[BENCH_MAX_QUEUES];

void bench_set_tx_ports(const struct bench_variant *variant) {
    for (uint32_t i = 0; i < variant->queues; i++) {
        bench_tx_ports[i] = (struct bench_tx_port){variant->work_func, &bench_port, (uint16_t)i};
    }
}
