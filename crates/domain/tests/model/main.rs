//! Every order in which the life of one request can go: two relays, crashes at every step, messages that are lost,
//! doubled, late or out of order. The rules are the real ones; around them stand the relay's steps.
#![expect(clippy::print_stdout, reason = "how much was gone through is shown by `--nocapture`")]

mod relay;
mod rules;
mod world;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use crate::rules::{Claim, Clock, Fact, Phase, known};
use crate::world::{Action, Chance, Flaw, Mind, Scenario, World};

#[test]
fn a_code_is_claimed_once_whoever_claims_it_and_whatever_crashes() {
    let ends = vec![Fact::Consumed(Claim::Own), Fact::Consumed(Claim::Rival), Fact::Expired];
    holds(scenario(&[Chance::RivalClaim], ends));
}

#[test]
fn a_denial_or_a_cancellation_ends_it_whatever_crashes() {
    let ends = vec![Fact::Consumed(Claim::Own), Fact::Denied, Fact::Cancelled];
    holds(scenario(&[Chance::Denial, Chance::Cancellation], ends));
}

#[test]
fn of_two_capturers_one_is_believed_and_the_code_of_the_other_is_erased() {
    let ends = vec![Fact::Consumed(Claim::Own), Fact::Expired];
    holds(scenario(&[Chance::SecondCapturer], ends));
}

#[test]
fn a_code_that_a_restarted_broker_has_lost_is_brought_back() {
    let ends = vec![Fact::Consumed(Claim::Own), Fact::Expired];
    holds(scenario(&[Chance::BrokerRestart], ends));
}

#[test]
fn a_replica_that_is_behind_misleads_nobody() {
    let ends = vec![Fact::Consumed(Claim::Own), Fact::Denied, Fact::Expired];
    holds(scenario(&[Chance::ReplicaBehind, Chance::Denial], ends));
}

#[test]
fn whatever_is_broken_breaks_a_law() {
    let table = [
        (Flaw::ReleasesBeforeTheClaim, CLAIM_FIRST),
        (Flaw::AppendsWithoutComparing, LEGAL),
        (Flaw::ArmsAfterTheEvent, ENDS),
        (Flaw::DoesNotFollow, ENDS),
        (Flaw::KeepsARefusedCode, ENDS),
        (Flaw::CapturesInDefiance, DEFIANCE),
        (Flaw::ForgetsWhatIsNotSynced, ACKNOWLEDGED),
        (Flaw::ForgetsATimerWithoutItsRequest, ENDS),
    ];
    for (flaw, law) in table {
        let sound = scenario(&[Chance::Denial, Chance::RivalClaim], Vec::new());
        let scenario = Scenario { flaw: Some(flaw), ..sound };
        let checker = scenario.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let steps = checker.discovery(law).map(|path| path.into_actions().len());
        println!("{flaw:?} is noticed after {steps:?} steps, in {} states", checker.unique_state_count());
        assert!(steps.is_some(), "{flaw:?}");
    }
}

const LEGAL: &str = "request, approval, capture and one claim follow each other, and nothing follows an end";
const CLAIM_FIRST: &str = "a code is released to the claim that is stored, and to no other";
const ACKNOWLEDGED: &str = "what anybody was told is in the log";
const DEFIANCE: &str = "a capturer that has learnt of an end does not capture";
const ENDS: &str = "if nothing more fails, the request ends and its code is erased";

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.possible(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        self.after(world, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut laws = vec![
            Property::always(LEGAL, |_, world: &World| is_legal(&world.log)),
            Property::always(CLAIM_FIRST, |_, world: &World| {
                world.released.iter().all(|claim| world.log.last() == Some(&Fact::Consumed(*claim)))
            }),
            Property::always(ACKNOWLEDGED, |_, world: &World| world.acknowledged <= world.log.len()),
            Property::always(DEFIANCE, |scenario: &Self, world: &World| {
                scenario.capturers().iter().all(|capturer| world.mind(*capturer) != Mind::Defiant)
            }),
            // A relay can die at any step, so behind each state there is one in which nobody works.
            Property::always(ENDS, |scenario: &Self, world: &World| {
                !world.works.is_empty() || has_ended_well(&scenario.settled(world))
            }),
        ];
        laws.extend(self.ends.iter().map(|end| match end {
            Fact::Consumed(Claim::Own) => {
                Property::sometimes("its agent gets the code", |scenario: &Self, world: &World| {
                    world.released.contains(&Claim::Own)
                        && world.is_restarted == scenario.may(Chance::BrokerRestart)
                })
            }
            Fact::Consumed(Claim::Rival) => Property::sometimes("a rival gets it", |_, world: &World| {
                world.released.contains(&Claim::Rival)
            }),
            Fact::Denied => {
                Property::sometimes("denied", |_, world: &World| world.log.last() == Some(&Fact::Denied))
            }
            Fact::Cancelled => Property::sometimes("cancelled", |_, world: &World| {
                world.log.last() == Some(&Fact::Cancelled)
            }),
            Fact::Requested | Fact::Approved | Fact::Captured(_) | Fact::Expired => {
                Property::sometimes("expired", |_, world: &World| world.log.last() == Some(&Fact::Expired))
            }
        }));
        laws
    }
}

fn scenario(chances: &[Chance], ends: Vec<Fact>) -> Scenario {
    Scenario { chances: chances.to_vec(), flaw: None, ends }
}

/// Goes through everything that can happen in a scenario.
fn holds(scenario: Scenario) {
    let checker = scenario.checker().spawn_bfs().join();
    println!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// Requested, then approved, then captured, then consumed; in place of any but the first an early end; nothing more.
fn is_legal(log: &[Fact]) -> bool {
    log.iter().enumerate().all(|(at, fact)| match fact {
        Fact::Requested => at == 0,
        Fact::Approved => at == 1,
        Fact::Captured(_) => at == 2,
        Fact::Consumed(_) => at == 3,
        Fact::Denied | Fact::Expired | Fact::Cancelled => (1..4).contains(&at) && at + 1 == log.len(),
    })
}

/// What a relay left in the vault that died with it in its hands, the vault forgets when its time is over.
fn has_ended_well(world: &World) -> bool {
    let is_over = match known(&world.log).phase {
        Phase::Absent => true,
        Phase::Open => false,
        Phase::Ended => world.is_followed && world.clock != Clock::BeforeDeadline,
    };
    world.is_quiet() && is_over && (world.vault.is_empty() || world.is_orphaned)
}
