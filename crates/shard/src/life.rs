//! The states of a shard on one node, and what moves it between them. Pure.

/// Where a shard is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not owned.
    Idle,
    /// Asking for an epoch.
    Claiming,
    /// Has an epoch; reads the log up to its own fence.
    CatchUp {
        /// The epoch.
        epoch: u64,
    },
    /// Owns the shard. The only state that appends.
    Active {
        /// The epoch.
        epoch: u64,
    },
    /// The log cannot be written; reads go on.
    Stalled {
        /// The epoch.
        epoch: u64,
        /// What went wrong.
        why: String,
    },
    /// Finishes what it took, takes nothing more; reads go on.
    Draining {
        /// The epoch.
        epoch: u64,
    },
}

/// What happens to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node is to own it.
    Wanted,
    /// The claim succeeded.
    Claimed {
        /// With this epoch.
        epoch: u64,
    },
    /// The log has been read and ends with the claimed epoch's fence, which is durable.
    CaughtUp,
    /// The log knows an epoch that is not below the claimed one.
    Outdated {
        /// The log's.
        epoch: u64,
    },
    /// Claiming or catching up failed.
    Failed,
    /// A commit may or may not be durable.
    LogBroken {
        /// What went wrong.
        why: String,
    },
    /// The node stops, or the shard goes elsewhere.
    Unwanted,
    /// Everything taken has been answered and is durable.
    Drained,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for an epoch above this one.
    Claim {
        /// The highest the log is known to have.
        above: u64,
    },
    /// Read the log, then write the epoch's fence.
    CatchUp {
        /// The epoch.
        epoch: u64,
    },
    /// Take samples.
    StartAppends,
    /// Take no more samples, and drop those that are staged: they were acknowledged to nobody.
    RefuseAppends,
    /// Take no more samples, and finish those that were taken.
    DrainAppends,
    /// Give the claim back.
    Release,
}

/// What follows from `event` in `state`. An event that means nothing there changes nothing.
pub fn step(state: State, event: Event) -> (State, Vec<Effect>) {
    match (state, event) {
        (State::Idle, Event::Wanted) => (State::Claiming, vec![Effect::Claim { above: 0 }]),
        (State::Claiming, Event::Claimed { epoch }) => {
            (State::CatchUp { epoch }, vec![Effect::CatchUp { epoch }])
        }
        (State::CatchUp { .. }, Event::Outdated { epoch }) => {
            (State::Claiming, vec![Effect::Claim { above: epoch }])
        }
        (State::CatchUp { epoch }, Event::CaughtUp) => {
            (State::Active { epoch }, vec![Effect::StartAppends])
        }
        (State::Claiming | State::CatchUp { .. }, Event::Failed | Event::Unwanted) => {
            (State::Idle, vec![Effect::Release])
        }
        (State::Active { epoch } | State::Draining { epoch }, Event::LogBroken { why }) => {
            (State::Stalled { epoch, why }, vec![Effect::RefuseAppends])
        }
        (State::Active { epoch }, Event::Unwanted) => {
            (State::Draining { epoch }, vec![Effect::DrainAppends])
        }
        (State::Draining { .. }, Event::Drained) | (State::Stalled { .. }, Event::Unwanted) => {
            (State::Idle, vec![Effect::Release])
        }
        (state, _) => (state, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_life() {
        let broken = || Event::LogBroken { why: "EIO".into() };
        let events = [
            (Event::Wanted, "Claiming"),
            (Event::Claimed { epoch: 4 }, "CatchUp"),
            (Event::Outdated { epoch: 9 }, "Claiming"),
            (Event::Claimed { epoch: 10 }, "CatchUp"),
            (broken(), "CatchUp"),
            (Event::CaughtUp, "Active"),
            (Event::Unwanted, "Draining"),
            (broken(), "Stalled"),
            (Event::Unwanted, "Idle"),
        ];
        let mut state = State::Idle;
        for (event, expected) in events {
            let (next, _) = step(state, event.clone());
            assert!(
                format!("{next:?}").starts_with(expected),
                "{event:?} led to {next:?}"
            );
            state = next;
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Wanted),
            (1..5u64).prop_map(|epoch| Event::Claimed { epoch }),
            Just(Event::CaughtUp),
            (1..5u64).prop_map(|epoch| Event::Outdated { epoch }),
            Just(Event::Failed),
            Just(Event::LogBroken { why: String::new() }),
            Just(Event::Unwanted),
            Just(Event::Drained),
        ]
    }

    proptest! {
        /// Appends are taken exactly while the shard is active, and only after a claim has
        /// caught up.
        #[test]
        fn only_the_active_append(events in proptest::collection::vec(event(), 0..40)) {
            let (mut state, mut appends) = (State::Idle, false);
            for event in events {
                let before = state.clone();
                let (next, effects) = step(state, event);
                for effect in effects {
                    match effect {
                        Effect::StartAppends => {
                            let caught_up = matches!(before, State::CatchUp { .. });
                            prop_assert!(caught_up);
                            appends = true;
                        }
                        Effect::RefuseAppends | Effect::DrainAppends => appends = false,
                        _ => {}
                    }
                }
                prop_assert_eq!(appends, matches!(next, State::Active { .. }));
                state = next;
            }
        }
    }
}
