// SPDX-License-Identifier: BSD-3-Clause
// Which of a thread's rxqs are polled in every turn of its loop, and which less often.
//
// A poll in vain costs a hundred cycles, most of them to fetch into the cache what is known of the queue: with 64 ports
// that is more than the packets of a turn cost. So an rxq that has been silent rests, if its packets can wait: a few of
// those that rest are polled in each turn, one after the other. Where there are no more than so few, none rests.
//
// Those that do not rest are polled in the order given: what one of them sends to a ring another may take in the same
// turn.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace datapath {

// `Rxq` has `bool can_rest` and `std::uint32_t silent_polls`, which the order counts.
template<typename Rxq> class PollOrder {
  public:
    static constexpr std::uint32_t silent_polls_before_rest = 64;
    static constexpr std::size_t resting_polls_a_turn = 4;

    // Before the first turn; this allocates. The rxqs keep their places. `rests`: whether any may rest.
    void set(std::vector<Rxq>& rxqs, bool rests) {
        rests_ = rests && rxqs.size() > resting_polls_a_turn;
        awake_.clear();
        resting_.clear();
        awake_.reserve(rxqs.size());
        resting_.reserve(rxqs.size());
        for (Rxq& rxq : rxqs) {
            awake_.push_back(&rxq);
        }
    }

    // `poll` takes an rxq and returns how many packets it brought.
    template<typename Poll> void turn(Poll poll) {
        const std::size_t polls_of_resting = std::min(resting_polls_a_turn, resting_.size());
        for (std::size_t i = 0; i < awake_.size();) {
            Rxq* const rxq = awake_[i];
            if (poll(*rxq) > 0) {
                rxq->silent_polls = 0;
            } else if (rests_ && rxq->can_rest && ++rxq->silent_polls >= silent_polls_before_rest) {
                awake_.erase(awake_.begin() + static_cast<std::ptrdiff_t>(i));
                resting_.push_back(rxq);
                continue;
            }
            ++i;
        }
        for (std::size_t i = 0; i < polls_of_resting; ++i) {
            next_resting_ = next_resting_ < resting_.size() ? next_resting_ : 0;
            Rxq* const rxq = resting_[next_resting_];
            if (poll(*rxq) > 0) {
                rxq->silent_polls = 0;
                resting_.erase(resting_.begin() + static_cast<std::ptrdiff_t>(next_resting_));
                awake_.insert(std::upper_bound(awake_.begin(), awake_.end(), rxq), rxq);
            } else {
                ++next_resting_;
            }
        }
    }

    [[nodiscard]] std::size_t resting() const { return resting_.size(); }

  private:
    bool rests_ = false;
    std::vector<Rxq*> awake_;
    std::vector<Rxq*> resting_;
    std::size_t next_resting_ = 0;
};

} // namespace datapath
