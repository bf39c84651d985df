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
