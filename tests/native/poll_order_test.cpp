// SPDX-License-Identifier: BSD-3-Clause
// The order of polls: silent rxqs rest, and none is forgotten.
#include "datapath/poll_order.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace {

struct Rxq {
    bool can_rest = true;
    std::uint32_t silent_polls = 0;
    bool busy = false;
    unsigned polls = 0;
};
using Order = datapath::PollOrder<Rxq>;

class ManyRxqs : public testing::Test {
  protected:
    void turns(unsigned count) {
        std::for_each(rxqs.begin(), rxqs.end(), [](Rxq& rxq) { rxq.polls = 0; });
        for (unsigned i = 0; i < count; ++i) {
            order.turn([](Rxq& rxq) {
                ++rxq.polls;
                return rxq.busy ? 1U : 0U;
            });
        }
    }

    std::vector<Rxq> rxqs = std::vector<Rxq>(64);
    Order order;
};

TEST_F(ManyRxqs, SilentOnesRestAndArePolledInTurn) {
    rxqs[5].busy = true;
    order.set(rxqs, true);
    turns(Order::silent_polls_before_rest);
    EXPECT_EQ(order.resting(), 63U);
    turns(63);
    EXPECT_EQ(rxqs[5].polls, 63U);
    for (std::size_t i = 0; i < rxqs.size(); ++i) {
        if (i != 5) {
            EXPECT_EQ(rxqs[i].polls, Order::resting_polls_a_turn) << i;
        }
    }
}

TEST_F(ManyRxqs, AnRxqWithPacketsWakesUpWithinOneRoundOfThoseThatRest) {
    order.set(rxqs, true);
    turns(Order::silent_polls_before_rest);
    EXPECT_EQ(order.resting(), 64U);
    for (std::size_t i : {0U, 17U, 63U}) {
        rxqs[i].busy = true;
        turns(64 / Order::resting_polls_a_turn);
        EXPECT_GE(rxqs[i].polls, 1U);
        turns(10);
        EXPECT_EQ(rxqs[i].polls, 10U);
    }
    EXPECT_EQ(order.resting(), 61U);
    for (Rxq& rxq : rxqs) {
        rxq.busy = true;
    }
    turns(64);
    EXPECT_EQ(order.resting(), 0U);
    turns(10);
    EXPECT_TRUE(std::all_of(rxqs.begin(), rxqs.end(), [](const Rxq& rxq) { return rxq.polls == 10; }));
}

TEST_F(ManyRxqs, ThoseWhosePacketsCannotWaitNeverRest) {
    rxqs[9].can_rest = false;
    order.set(rxqs, true);
    turns(1000);
    EXPECT_EQ(rxqs[9].polls, 1000U);
    EXPECT_EQ(order.resting(), 63U);
}

TEST_F(ManyRxqs, NoneRestsWhereNoneMay) {
    order.set(rxqs, false);
    turns(1000);
    EXPECT_TRUE(std::all_of(rxqs.begin(), rxqs.end(), [](const Rxq& rxq) { return rxq.polls == 1000; }));
}

TEST_F(ManyRxqs, AFewAreAllPolledInEveryTurn) {
    rxqs.resize(Order::resting_polls_a_turn);
    order.set(rxqs, true);
    turns(Order::silent_polls_before_rest);
    EXPECT_EQ(order.resting(), 0U);
    turns(100);
    EXPECT_TRUE(std::all_of(rxqs.begin(), rxqs.end(), [](const Rxq& rxq) { return rxq.polls == 100; }));
}

TEST_F(ManyRxqs, ThoseThatWokeUpArePolledInTheOrderGiven) {
    order.set(rxqs, true);
    turns(Order::silent_polls_before_rest);
    for (std::size_t i : {40U, 3U, 21U}) {
        rxqs[i].busy = true;
        turns(64);
    }
    std::vector<const Rxq*> polled;
    order.turn([&](Rxq& rxq) {
        polled.push_back(&rxq);
        return rxq.busy ? 1U : 0U;
    });
    polled.resize(3);
    EXPECT_EQ(polled, (std::vector<const Rxq*>{&rxqs[3], &rxqs[21], &rxqs[40]}));
}

} // namespace
