//! The relays and everything around them: what may happen next, and what then is so.

use std::collections::BTreeSet;

use crate::rules::{Answer, Ask, Capturer, Claim, Clock, Fact, Log, Phase, Why, decide, known};

/// How many commands the relays work on at once. They hold no state, so two works are as good as two relays.
const WORKS_MAX: usize = 2;
/// The longest history: only a broken relay would write one that is longer than four.
const EVENTS_MAX: usize = 5;

/// Everything at one moment. Commands have no place in it: one that can be sent may come never, once, often or late.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) log: Log,
    pub(crate) vault: BTreeSet<Capturer>,
    pub(crate) clock: Clock,
    /// A timer waits for the deadline.
    is_armed: bool,
    /// A timer has fired, and was not acknowledged.
    is_fired: bool,
    /// The follower of the log has acknowledged the end.
    pub(crate) is_followed: bool,
    /// In order, so that it does not matter which relay does what.
    pub(crate) works: Vec<Work>,
    /// Appends whose relay has died or given up, and which may still arrive.
    adrift: BTreeSet<(Fact, usize)>,
    /// The same for what was to be put into the vault.
    puts_adrift: BTreeSet<Capturer>,
    minds: [Mind; 2],
    /// A relay has died with a code in the vault that it was to answer for.
    pub(crate) is_orphaned: bool,
    /// The broker was restarted, and lost what the vault held.
    pub(crate) is_restarted: bool,
    /// Which claims were answered with the sealed code.
    pub(crate) released: BTreeSet<Claim>,
    /// The highest version that anybody was told of.
    pub(crate) acknowledged: usize,
}

/// A command that a relay works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) task: Task,
    pub(crate) step: Step,
}

/// What a relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Task {
    Answer(Ask),
    /// Follows the log: the end was delivered.
    Erase,
}

/// What it does next: each is one call to the broker, or one answer. What it reads just before belongs to it: had the
/// log changed in between, the append would conflict, and the relay would read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Arm,
    Put,
    Read,
    /// An append that is under way, and how many events it expects.
    Append(Fact, usize),
    EraseOne,
    EraseAll,
    /// Answers with the sealed code.
    Release,
    /// Acknowledges what the broker delivered: a timer that has fired, or an end.
    Acknowledge,
}

/// What a capturer has made of what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mind {
    Waiting,
    /// It has signed and written its capture down, and offers it again and again.
    Signed,
    /// It has learnt of an end before it signed.
    Learnt,
    /// It has signed after it had learnt.
    Defiant,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Take(Task),
    /// Takes it, and reads from a replica that lacks the last event.
    TakeBehind(Task),
    GoOn(usize),
    /// The relay dies, or gives the command up for want of an answer.
    Die(usize),
    Arrive(Fact, usize),
    Lose(Fact, usize),
    ArrivePut(Capturer),
    LosePut(Capturer),
    Fire,
    PassTime,
    /// What is in the vault has outlived its time.
    Lapse,
    RestartBroker,
    Sign(Capturer),
    Learn(Capturer),
    /// The log forgets its last event.
    ForgetLast,
}

impl World {
    /// Nobody has asked.
    pub(crate) fn new() -> Self {
        Self {
            log: Log::new(),
            vault: BTreeSet::new(),
            clock: Clock::BeforeDeadline,
            is_armed: false,
            is_fired: false,
            is_followed: false,
            works: Vec::new(),
            adrift: BTreeSet::new(),
            puts_adrift: BTreeSet::new(),
            minds: [Mind::Waiting; 2],
            is_orphaned: false,
            is_restarted: false,
            released: BTreeSet::new(),
            acknowledged: 0,
        }
    }

    pub(crate) fn mind(&self, capturer: Capturer) -> Mind {
        let [home, phone] = self.minds;
        match capturer {
            Capturer::Home => home,
            Capturer::Phone => phone,
        }
    }

    fn set_mind(&mut self, capturer: Capturer, mind: Mind) {
        let [home, phone] = &mut self.minds;
        match capturer {
            Capturer::Home => *home = mind,
            Capturer::Phone => *phone = mind,
        }
    }

    /// Whether nobody works, and nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.works.is_empty() && self.adrift.is_empty() && self.puts_adrift.is_empty() && !self.is_fired
    }

    /// Whether a relay may still append `requested`: a timer waits a minute for it, and no append takes longer.
    pub(crate) fn awaits_a_request(&self) -> bool {
        let asks = self.works.iter().any(|work| work.task == Task::Answer(Ask::Request));
        asks || self.adrift.contains(&(Fact::Requested, 0))
    }

    pub(crate) fn arm(&mut self) {
        self.is_armed = true;
    }

    pub(crate) fn acknowledge_timer(&mut self) {
        self.is_fired = false;
    }

    /// A relay is gone. What it had sent may still arrive.
    fn die(&mut self, at: usize) {
        let Work { task, step } = self.works.remove(at);
        let Task::Answer(ask) = task else { return };
        if let Step::Append(fact, expected) = step {
            self.adrift.insert((fact, expected));
        }
        if let Ask::Capture(capturer) = ask {
            if step == Step::Put {
                self.puts_adrift.insert(capturer);
            }
            self.is_orphaned = true;
        }
    }

    /// Makes worlds equal in which the same may happen.
    fn tidy(&mut self, any_append_fits: bool) {
        self.works.sort();
        if !any_append_fits {
            // The log never gets shorter.
            self.adrift.retain(|(_, expected)| *expected == self.log.len());
        }
        let is_capture = |work: &Work| matches!(work.task, Task::Answer(Ask::Capture(_)));
        let holds_none = self.vault.is_empty() && self.puts_adrift.is_empty();
        self.is_orphaned &= !holds_none || self.works.iter().any(is_capture);
    }
}

/// What is tried in one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scenario {
    pub(crate) chances: Vec<Chance>,
    pub(crate) flaw: Option<Flaw>,
    /// What it has to be able to come to.
    pub(crate) ends: Vec<Fact>,
}

/// What may happen besides what always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    SecondCapturer,
    RivalClaim,
    Denial,
    Cancellation,
    BrokerRestart,
    ReplicaBehind,
}

/// A way to break a party, which the model has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    ReleasesBeforeTheClaim,
    AppendsWithoutComparing,
    ArmsAfterTheEvent,
    DoesNotFollow,
    KeepsARefusedCode,
    CapturesInDefiance,
    ForgetsWhatIsNotSynced,
    ForgetsATimerWithoutItsRequest,
}

impl Scenario {
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn may(&self, chance: Chance) -> bool {
        self.chances.contains(&chance)
    }

    pub(crate) fn capturers(&self) -> &'static [Capturer] {
        if self.may(Chance::SecondCapturer) { &[Capturer::Home, Capturer::Phone] } else { &[Capturer::Home] }
    }

    /// Everything that may happen next.
    pub(crate) fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        if world.works.len() < WORKS_MAX {
            let tasks = self.tasks(world);
            actions.extend(tasks.iter().copied().map(Action::Take));
            if self.may(Chance::ReplicaBehind) {
                actions.extend(tasks.into_iter().map(Action::TakeBehind));
            }
        }
        for at in 0..world.works.len() {
            actions.extend([Action::GoOn(at), Action::Die(at)]);
        }
        for (fact, expected) in &world.adrift {
            actions.extend([Action::Arrive(*fact, *expected), Action::Lose(*fact, *expected)]);
        }
        for capturer in &world.puts_adrift {
            actions.extend([Action::ArrivePut(*capturer), Action::LosePut(*capturer)]);
        }
        if world.is_armed && world.clock != Clock::BeforeDeadline {
            actions.push(Action::Fire);
        }
        actions.push(match world.clock {
            Clock::BeforeDeadline => Action::PassTime,
            Clock::AfterDeadline => Action::Lapse,
        });
        if self.may(Chance::BrokerRestart) && !world.is_restarted && !world.vault.is_empty() {
            actions.push(Action::RestartBroker);
        }
        if self.has(Flaw::ForgetsWhatIsNotSynced) {
            actions.push(Action::ForgetLast);
        }
        for capturer in self.capturers() {
            self.thoughts(world, *capturer, actions);
        }
    }

    /// What can be asked of a relay by those who know of the request what there is to know.
    fn tasks(&self, world: &World) -> Vec<Task> {
        let known = known(&world.log);
        let mut asks = vec![Ask::Request];
        if known.phase != Phase::Absent {
            asks.push(Ask::Approve);
            asks.extend(self.may(Chance::Denial).then_some(Ask::Deny));
            asks.extend(self.may(Chance::Cancellation).then_some(Ask::Cancel));
        }
        let offers = |capturer: &&Capturer| matches!(world.mind(**capturer), Mind::Signed | Mind::Defiant);
        asks.extend(self.capturers().iter().filter(offers).map(|capturer| Ask::Capture(*capturer)));
        if let Some(capturer) = known.captured {
            asks.push(Ask::Consume(Claim::Own, capturer));
            asks.extend(self.may(Chance::RivalClaim).then_some(Ask::Consume(Claim::Rival, capturer)));
        }
        asks.extend(world.is_fired.then_some(Ask::Expire));
        let end = (known.phase == Phase::Ended && !world.is_followed).then_some(Task::Erase);
        asks.into_iter().map(Task::Answer).chain(end).collect()
    }

    /// What a capturer may make of the log. It may learn of an end late, for a relay can withhold it.
    fn thoughts(&self, world: &World, capturer: Capturer, actions: &mut Vec<Action>) {
        let known = known(&world.log);
        match world.mind(capturer) {
            Mind::Waiting => {
                actions.extend(known.is_approved.then_some(Action::Sign(capturer)));
                actions.extend((known.phase == Phase::Ended).then_some(Action::Learn(capturer)));
            }
            Mind::Learnt if self.has(Flaw::CapturesInDefiance) => actions.push(Action::Sign(capturer)),
            Mind::Learnt | Mind::Signed | Mind::Defiant => {}
        }
    }

    /// What is so afterwards; none if nothing has changed.
    pub(crate) fn after(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Take(task) => self.take(&mut next, task, &world.log),
            Action::TakeBehind(task) => {
                let ((_, before), Task::Answer(ask)) = (world.log.split_last()?, task) else { return None };
                // Only the leader's word is a reason to refuse.
                if let Answer::Refused(_) = decide(before, ask, world.clock) {
                    return None;
                }
                self.take(&mut next, task, before);
            }
            Action::GoOn(at) => self.go_on(&mut next, at, &world.log),
            Action::Die(at) => next.die(at),
            Action::Arrive(fact, expected) => {
                next.adrift.remove(&(fact, expected));
                self.append(&mut next, fact, expected);
            }
            Action::Lose(fact, expected) => drop(next.adrift.remove(&(fact, expected))),
            Action::ArrivePut(capturer) => {
                next.puts_adrift.remove(&capturer);
                next.vault.insert(capturer);
            }
            Action::LosePut(capturer) => drop(next.puts_adrift.remove(&capturer)),
            Action::Fire => (next.is_armed, next.is_fired) = (false, true),
            Action::PassTime => next.clock = Clock::AfterDeadline,
            Action::Lapse => next.vault.clear(),
            Action::RestartBroker => {
                next.vault.clear();
                next.is_restarted = true;
            }
            Action::Sign(capturer) => {
                let is_waiting = world.mind(capturer) == Mind::Waiting;
                next.set_mind(capturer, if is_waiting { Mind::Signed } else { Mind::Defiant });
            }
            Action::Learn(capturer) => next.set_mind(capturer, Mind::Learnt),
            Action::ForgetLast => drop(next.log.pop()),
        }
        next.tidy(self.has(Flaw::AppendsWithoutComparing) || self.has(Flaw::ForgetsWhatIsNotSynced));
        (next != *world && next.log.len() <= EVENTS_MAX).then_some(next)
    }

    /// What the broker does with an append.
    pub(crate) fn append(&self, world: &mut World, fact: Fact, expected: usize) -> bool {
        let fits = world.log.len() == expected || self.has(Flaw::AppendsWithoutComparing);
        if fits {
            world.log.push(fact);
        }
        fits
    }

    /// What becomes of it if nothing more fails: what is under way arrives, relays live, time passes.
    pub(crate) fn settled(&self, world: &World) -> World {
        let mut world = world.clone();
        while let Some(next) = fair(&world).and_then(|action| self.after(&world, action)) {
            world = next;
        }
        world
    }
}

fn fair(world: &World) -> Option<Action> {
    if let Some((fact, expected)) = world.adrift.first() {
        return Some(Action::Arrive(*fact, *expected));
    }
    if let Some(capturer) = world.puts_adrift.first() {
        return Some(Action::ArrivePut(*capturer));
    }
    if !world.works.is_empty() {
        return Some(Action::GoOn(0));
    }
    if known(&world.log).phase == Phase::Ended && !world.is_followed {
        return Some(Action::Take(Task::Erase));
    }
    if world.is_fired {
        return Some(Action::Take(Task::Answer(Ask::Expire)));
    }
    match world.clock {
        Clock::BeforeDeadline => Some(Action::PassTime),
        Clock::AfterDeadline => world.is_armed.then_some(Action::Fire),
    }
}

impl Answer {
    /// Whether a timer came before its request.
    pub(crate) fn is_unknown(self) -> bool {
        self == Self::Refused(Why::Unknown)
    }
}
