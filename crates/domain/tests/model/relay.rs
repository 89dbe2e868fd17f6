//! What a relay does with a command, step by step, as `agent-otp-relay` does it.

use crate::rules::{Answer, Ask, Fact, Phase, decide, known};
use crate::world::{Flaw, Scenario, Step, Task, Work, World};

impl Scenario {
    /// Takes a command up: reads the log, and goes as far as no call to the broker is needed.
    pub(crate) fn take(&self, world: &mut World, task: Task, log: &[Fact]) {
        let first = match task {
            Task::Answer(ask) => self.consider(world, ask, log),
            Task::Erase if self.has(Flaw::DoesNotFollow) => Some(Step::Acknowledge),
            Task::Erase => Some(Step::EraseAll),
        };
        world.works.extend(first.map(|step| Work { task, step }));
    }

    /// Takes the next step of a command; `log` is what the relay reads, where it reads.
    pub(crate) fn go_on(&self, world: &mut World, at: usize, log: &[Fact]) {
        let Work { task, step } = world.works.remove(at);
        let next = match task {
            Task::Answer(ask) => self.answer(world, ask, step, log),
            Task::Erase => erase(world, step),
        };
        world.works.extend(next.map(|step| Work { task, step }));
    }

    fn consider(&self, world: &mut World, ask: Ask, log: &[Fact]) -> Option<Step> {
        match (ask, decide(log, ask, world.clock)) {
            (Ask::Deny | Ask::Cancel | Ask::Expire, _) => self.decide(world, ask, log),
            (_, Answer::Refused(_)) => None,
            (Ask::Request, Answer::Event(_)) if !self.has(Flaw::ArmsAfterTheEvent) => Some(Step::Arm),
            (Ask::Request | Ask::Approve, _) => self.decide(world, ask, log),
            (Ask::Capture(_), _) if known(log).phase == Phase::Ended => None,
            (Ask::Capture(_), _) => Some(Step::Put),
            (Ask::Consume(..), _) => Some(Step::Read),
        }
    }

    fn answer(&self, world: &mut World, ask: Ask, step: Step, log: &[Fact]) -> Option<Step> {
        match step {
            Step::Arm => {
                world.arm();
                if self.has(Flaw::ArmsAfterTheEvent) { None } else { self.decide(world, ask, log) }
            }
            Step::Put => {
                world.vault.extend(ask.capturer());
                self.decide(world, ask, log)
            }
            Step::Read => {
                let is_there = ask.capturer().is_some_and(|capturer| world.vault.contains(&capturer));
                match is_there {
                    true if self.has(Flaw::ReleasesBeforeTheClaim) => Some(Step::Release),
                    true => self.decide(world, ask, log),
                    false => None,
                }
            }
            Step::Append(fact, expected) => {
                if self.append(world, fact, expected) {
                    self.decided(world, ask, expected + 1)
                } else {
                    self.decide(world, ask, log)
                }
            }
            Step::EraseOne => {
                ask.capturer().map(|capturer| world.vault.remove(&capturer));
                None
            }
            Step::EraseAll => {
                world.vault.clear();
                None
            }
            Step::Release => {
                world.released.extend(ask.claim());
                if self.has(Flaw::ReleasesBeforeTheClaim) {
                    self.decide(world, ask, log)
                } else {
                    Some(Step::EraseAll)
                }
            }
            Step::Acknowledge => {
                world.acknowledge_timer();
                None
            }
        }
    }

    /// Reads the log, and appends what the command changes.
    fn decide(&self, world: &mut World, ask: Ask, log: &[Fact]) -> Option<Step> {
        match (decide(log, ask, world.clock), ask) {
            (Answer::Event(fact), _) => Some(Step::Append(fact, log.len())),
            (Answer::Nothing, _) => self.decided(world, ask, log.len()),
            (Answer::Refused(_), Ask::Capture(_)) => {
                (!self.has(Flaw::KeepsARefusedCode)).then_some(Step::EraseOne)
            }
            (answer @ Answer::Refused(_), Ask::Expire) => {
                // The event may still be on its way: the timer is put back as long as it may.
                let waits = world.awaits_a_request() && !self.has(Flaw::ForgetsATimerWithoutItsRequest);
                (answer.is_unknown() && !waits).then_some(Step::Acknowledge)
            }
            (Answer::Refused(_), _) => None,
        }
    }

    /// What follows once the effect is there: the member is told, where it is no claim.
    fn decided(&self, world: &mut World, ask: Ask, version: usize) -> Option<Step> {
        world.acknowledged = world.acknowledged.max(version);
        let has_ended = known(&world.log).phase == Phase::Ended;
        match ask {
            Ask::Capture(_) if has_ended && !self.has(Flaw::KeepsARefusedCode) => Some(Step::EraseAll),
            Ask::Consume(..) if !self.has(Flaw::ReleasesBeforeTheClaim) => Some(Step::Release),
            Ask::Request if self.has(Flaw::ArmsAfterTheEvent) => Some(Step::Arm),
            Ask::Expire => Some(Step::Acknowledge),
            Ask::Request | Ask::Approve | Ask::Capture(_) | Ask::Consume(..) | Ask::Deny | Ask::Cancel => {
                None
            }
        }
    }
}

/// The follower erases, and only then acknowledges.
fn erase(world: &mut World, step: Step) -> Option<Step> {
    if step == Step::EraseAll {
        world.vault.clear();
        return Some(Step::Acknowledge);
    }
    world.is_followed = true;
    None
}
