//! The simulated world: phones, people, a network and one server in one thread, driven from one seed. Every
//! delay, fault and decision is drawn from the world's dice, so a seed tells the same story each time.
//! Nothing here knows what is right: that is [`crate::model`] and [`check`].

pub mod check;
pub mod clock;
pub mod disk;
pub mod erasing;
pub mod exchange;
pub mod handover;
pub mod hostile;
pub mod machine;
pub mod network;
pub mod office;
pub mod people;
pub mod phone;
pub mod server;
pub mod shape;
pub mod skew;
pub mod strike;
pub mod tabs;
pub mod tap;
pub mod trace;
pub mod workers;

use std::collections::BTreeMap;

use shared::id::{ChangeHash, DeviceId, DocId, PersonId};
use shared::ledger::Team;
use shared::ledger::people::Role;

use crate::dice::Dice;
use crate::fault::{Fault, FaultCounts};
use crate::model::{Model, Violation};
use clock::EPOCH_MS;
use handover::Round;
use hostile::Overheard;
use machine::Tapes;
use network::{Arrival, Connection, Direction, Weather};
use phone::Phone;
use server::Server;
use shape::{Cause, Shape};
use trace::Trace;

/// How often machines fail, in chances per thousand.
#[derive(Debug, Clone, Copy)]
pub struct Climate {
    /// Of an output of a phone: the phone dies before it.
    pub phone_crash_permille: u64,
    /// Of a write of a phone.
    pub write_fails_permille: u64,
    /// Of an output of the server: the server dies before it.
    pub server_crash_permille: u64,
    /// Of a group that the server writes.
    pub commit_fails_permille: u64,
    /// Of a job: the admission worker dies over it.
    pub worker_dies_permille: u64,
    /// Of a dial: it is one HTTP request instead of a socket.
    pub one_shot_permille: u64,
    /// Of a page: the socket takes it in within seconds only.
    pub slow_reader_permille: u64,
}

impl Climate {
    fn draw(dice: &mut Dice) -> Self {
        Climate {
            phone_crash_permille: dice.below(3) * 2,
            write_fails_permille: dice.below(3) * 10,
            server_crash_permille: dice.below(3) * 12,
            commit_fails_permille: dice.below(3) * 10,
            worker_dies_permille: dice.below(3) * 15,
            one_shot_permille: dice.below(3) * 100,
            slow_reader_permille: dice.below(3) * 25,
        }
    }

    /// The same without the causes that the shape leaves out.
    fn shaped(self, shape: &Shape) -> Self {
        let kept = |permille: u64, cause: Cause| if shape.has(cause) { permille } else { 0 };
        Climate {
            phone_crash_permille: kept(self.phone_crash_permille, Cause::PhoneCrash),
            write_fails_permille: kept(self.write_fails_permille, Cause::WriteFails),
            server_crash_permille: kept(self.server_crash_permille, Cause::ServerCrash),
            commit_fails_permille: kept(self.commit_fails_permille, Cause::CommitFails),
            worker_dies_permille: kept(self.worker_dies_permille, Cause::WorkerDies),
            one_shot_permille: kept(self.one_shot_permille, Cause::OneShot),
            slow_reader_permille: kept(self.slow_reader_permille, Cause::SlowReader),
        }
    }
}

/// What happens at a moment.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Something may arrive at one end of a connection.
    Arrive { connection: u64, direction: Direction },
    /// A phone is switched on.
    Boot { phone: usize },
    /// A phone's oldest write comes to its end.
    Stored { phone: usize, starts: u64, fails: bool },
    /// A phone's dial comes to its end.
    Dialled { phone: usize, starts: u64 },
    /// Somebody acts.
    Act,
    /// Something goes wrong.
    Mishap,
    /// A phone finds its signal again.
    Online { phone: usize },
    /// A former tab notices that it is none any more.
    TabCloses { phone: usize },
    /// A phone that was switched off hands over what is left.
    HandOver { phone: usize, starts: u64 },
    /// What it hands over reaches the server.
    HandoverArrives { round: Round },
    /// The answer to that reaches the phone; none if nothing does. With how often the server was restored before.
    HandoverAnswered { round: Round, answer: Option<Vec<Vec<u8>>>, restores: u64 },
    /// The server starts again.
    ServerBoot,
    /// The server goes on with what it was doing.
    ServerWork { starts: u64 },
    /// A slow socket has taken its page in.
    TakenIn { starts: u64, session: ::server::hub::SessionId },
}

/// The simulated world.
pub struct World {
    /// The seed that it came from.
    pub seed: u64,
    /// The source of chance.
    pub dice: Dice,
    /// True time, in milliseconds since 1970.
    pub now_ms: i64,
    /// The phones, clones last.
    pub phones: Vec<Phone>,
    /// The server.
    pub server: Server,
    /// Every connection that one side still believes in.
    pub connections: BTreeMap<u64, Connection>,
    /// What must be true.
    pub model: Model,
    /// What went wrong so far.
    pub faults: FaultCounts,
    /// The story.
    pub trace: Trace,
    /// How bad the network is.
    pub weather: Weather,
    /// How often machines fail.
    pub climate: Climate,
    /// How much of the seed's world this is.
    pub shape: Shape,
    /// Where everything is put that goes into a phone's machine and comes out, if it is wanted.
    pub tapes: Option<Tapes>,
    /// No more faults: the world must come to rest.
    pub healed: bool,
    /// Somebody with a login, no customers and bad intentions.
    pub stranger: ::server::hub::Identity,
    /// The assistant at a desk, whose requests the network does not delay.
    pub desk: ::server::hub::Identity,
    /// The teams.
    pub teams: Vec<Team>,
    /// Pushes that were answered in full.
    pub overheard: Vec<Overheard>,
    /// Edits and commands that a phone refused at once.
    pub refused_at_once: u64,
    /// Commands that a phone took.
    pub commands_taken: u64,
    /// What newer software has written, to be looked for at the end.
    pub newer: Vec<(DocId, ChangeHash)>,
    /// Whether the strike of the shape was more than an attempt.
    pub has_struck: bool,
    /// Events carried out.
    pub steps: u64,
    queue: BTreeMap<(i64, u64), Event>,
    queued: u64,
    last_connection: u64,
    acts_left: u32,
}

impl World {
    /// Builds the organisation of a seed: everybody hired, every phone logged in and switched on.
    pub fn new(seed: u64, shape: Shape, telling: bool) -> Result<World, Violation> {
        let mut dice = Dice::new(seed);
        let mut model = Model::default();
        let server = Server::new(&mut dice, &mut model)?;
        // Drawn in any case: the same seed begins with the same dice, whatever is left out.
        let weather = Weather::draw(&mut dice);
        let weather = if shape.has(Cause::Weather) { weather } else { Weather::CALM };
        let climate = Climate::draw(&mut dice).shaped(&shape);
        let acts_left = (dice.between(15, 45) as u32).min(shape.acts_max.unwrap_or(u32::MAX));
        let mut world = World {
            seed,
            dice,
            now_ms: EPOCH_MS,
            phones: Vec::new(),
            server,
            connections: BTreeMap::new(),
            model,
            faults: FaultCounts::default(),
            trace: Trace::new(telling),
            weather,
            climate,
            shape,
            tapes: None,
            healed: false,
            stranger: ::server::hub::Identity { person: PersonId([0; 16]), device: DeviceId([0; 16]) },
            desk: ::server::hub::Identity { person: PersonId([0; 16]), device: DeviceId([0; 16]) },
            teams: Vec::new(),
            overheard: Vec::new(),
            refused_at_once: 0,
            commands_taken: 0,
            newer: Vec::new(),
            has_struck: false,
            steps: 0,
            queue: BTreeMap::new(),
            queued: 0,
            last_connection: 0,
            acts_left,
        };
        world.hire()?;
        for phone in 0..world.phones.len() {
            world.later(1 + phone as i64, Event::Boot { phone });
        }
        world.later(500, Event::Act);
        world.later(700, Event::Mishap);
        Ok(world)
    }

    /// Adds a line to the story.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now_ms - EPOCH_MS, line);
    }

    /// Plans an event.
    pub(crate) fn later(&mut self, delay_ms: i64, event: Event) {
        self.at(self.now_ms + delay_ms, event);
    }

    fn at(&mut self, at_ms: i64, event: Event) {
        self.queued += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.queued), event);
    }

    /// Lives the world through its faults, heals it, and brings it to rest.
    pub fn live(&mut self) -> Result<(), Violation> {
        while self.acts_left > 0 {
            self.step()?;
        }
        self.heal()?;
        self.rest()?;
        // What the checks make the hub say is no part of the story, and nothing strikes there.
        let outputs = self.server.outputs;
        self.shape.strike = None;
        self.check_everything()?;
        self.server.outputs = outputs;
        for phone in &mut self.phones {
            let now = phone.clock.now(self.now_ms);
            phone.client.iter_mut().for_each(|machine| machine.end(now));
        }
        Ok(())
    }

    /// Carries out the next event, be it planned or a timer of a machine.
    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        self.strike_if_due()?;
        let timer = self.next_timer();
        let planned = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (timer, planned) {
            (Some((at, who)), planned) if planned.is_none_or(|planned| at < planned) => {
                self.now_ms = self.now_ms.max(at);
                match who {
                    Some(phone) => {
                        self.with_client(phone, |client, now| client.handle_timeout(now)).map(|_| ())
                    }
                    None => self.server_timeout(),
                }
            }
            (_, Some(_)) => {
                let ((at, _), event) = self.queue.pop_first().expect("just seen");
                self.now_ms = self.now_ms.max(at);
                self.happen(event)
            }
            (Some(_), None) | (None, None) => Err("nothing will ever happen again".to_owned()),
        }
    }

    /// The earliest timer: of a phone, or of the server.
    fn next_timer(&self) -> Option<(i64, Option<usize>)> {
        let phones = self.phones.iter().enumerate().filter_map(|(index, phone)| {
            let at = phone.client.as_ref()?.poll_timeout()?;
            Some((phone.clock.true_ms(at), Some(index)))
        });
        let server = self.server_timer().map(|at| (at, None));
        phones.chain(server).min()
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive { connection, direction } => self.arrive(connection, direction),
            Event::Boot { phone } => self.boot(phone),
            Event::Stored { phone, starts, fails } => self.stored(phone, starts, fails && !self.healed),
            Event::Dialled { phone, starts } => self.dialled(phone, starts),
            Event::Online { phone } => self.set_online(phone, true),
            Event::TabCloses { phone } => {
                self.close_tab(phone);
                Ok(())
            }
            Event::HandOver { phone, starts } => self.hand_over(phone, starts),
            Event::HandoverArrives { round } => self.take_over_work(round),
            Event::HandoverAnswered { round, answer, restores } => self.handed_over(round, answer, restores),
            Event::ServerBoot => self.server_boot(),
            Event::ServerWork { starts } => self.server_work(starts),
            Event::TakenIn { starts, session } => {
                self.taken_in(starts, session);
                Ok(())
            }
            Event::Act => {
                if self.healed || self.acts_left == 0 {
                    return Ok(());
                }
                self.acts_left -= 1;
                // People work in bursts: several edits in a second, then a pause of minutes.
                let pause = if self.dice.permille(200) { 120_000 } else { 1_500 };
                let delay = self.dice.between(20, pause) as i64;
                self.later(delay, Event::Act);
                let awake: Vec<_> =
                    self.phones_in_use().filter(|i| self.phones[*i].client.is_some()).collect();
                match self.dice.pick(&awake).copied() {
                    Some(phone) => self.act(phone),
                    None => Ok(()),
                }
            }
            Event::Mishap => {
                if self.healed {
                    return Ok(());
                }
                let delay = self.dice.between(500, 20_000) as i64;
                self.later(delay, Event::Mishap);
                self.mishap()
            }
        }
    }

    /// Something goes wrong that no weather explains.
    fn mishap(&mut self) -> Result<(), Violation> {
        let in_use: Vec<usize> = self.phones_in_use().collect();
        let phone = *self.dice.pick(&in_use).expect("some phone is always in use");
        let draw = self.dice.below(134);
        if cause_of_mishap(draw).is_some_and(|cause| !self.shape.has(cause)) {
            return Ok(());
        }
        match draw {
            0..25 => {
                self.set_online(phone, false)?;
                let delay = self.dice.between(1_000, 600_000) as i64;
                self.later(delay, Event::Online { phone });
            }
            25..40 => self.cut_phone(phone)?,
            40..50 => {
                self.faults.count(Fault::ClockJumped);
                self.phones[phone].clock.jump(&mut self.dice);
                self.note(|| format!("the clock of phone {phone} jumps"));
            }
            50..60 if self.phones[phone].client.is_some() => self.crash_phone(phone),
            60..68 => {
                let rows = self.phones[phone].disk.rows().clone();
                self.phones[phone].backup = Some(rows);
            }
            68..73 => self.restore_phone(phone),
            73..75 if self.phones.len() < 8 => self.clone_phone(phone)?,
            75..77 => self.evict_phone(phone)?,
            77..83 => self.server_crash(),
            83..87 => self.server_backup()?,
            87..89 => self.server_restore()?,
            89..93 => self.hostile_frame()?,
            93..95 => self.revoke_device(phone)?,
            95..97 => self.disable_person(phone)?,
            97..104 if self.phones.len() < 8 => self.take_over(phone)?,
            104..108 => {
                self.note(|| format!("the disk of phone {phone} is full"));
                self.phones[phone].full_until_ms = self.now_ms + self.dice.between(5_000, 120_000) as i64;
            }
            108..111 => self.skew_phone(phone)?,
            111..115 => self.newer_document()?,
            115..118 => self.move_team(phone)?,
            118 => self.change_settings()?,
            119..122 => self.change_role(phone)?,
            122..128 => self.hand_some_over(),
            128..132 => self.restore_some_device()?,
            132..134 => self.erase_something()?,
            _ => {}
        }
        Ok(())
    }

    /// Every phone but former tabs of one.
    fn phones_in_use(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.phones.len()).filter(|index| !self.phones[*index].is_former_tab)
    }

    /// Whether a phone's person is a rep.
    pub fn is_rep(&self, phone: usize) -> bool {
        self.model.person(self.phones[phone].person).is_some_and(|person| person.role == Role::Rep)
    }

    /// Opens a connection between a phone and the server.
    pub fn open_connection(&mut self, phone: usize) -> u64 {
        self.last_connection += 1;
        self.connections.insert(self.last_connection, Connection::new(phone));
        self.last_connection
    }

    /// Sends a frame into a connection.
    pub fn put_on_wire(&mut self, id: u64, direction: Direction, frame: Vec<u8>) {
        let weather = if self.healed { Weather::CALM } else { self.weather };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let cut = connection.send(direction, frame, self.now_ms, &weather, &mut self.dice, &mut self.faults);
        self.expect_arrivals(id);
        if cut {
            self.cut_connection(id);
        }
    }

    /// Cuts a connection without either side doing so.
    pub fn cut_connection(&mut self, id: u64) {
        self.note(|| format!("connection {id} is cut"));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.cut(self.now_ms, &mut self.dice, &mut self.faults);
        self.expect_arrivals(id);
    }

    /// Plans a look at what is under way on a connection.
    pub fn expect_arrivals(&mut self, id: u64) {
        for direction in [Direction::Up, Direction::Down] {
            let due = self.connections.get(&id).and_then(|connection| connection.due(direction));
            if let Some(at) = due {
                self.at(at, Event::Arrive { connection: id, direction });
            }
        }
    }

    fn arrive(&mut self, id: u64, direction: Direction) -> Result<(), Violation> {
        let is_overtaken = direction == Direction::Up && self.is_overtaken(id);
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if connection.due(direction).is_none_or(|at| at > self.now_ms) {
            return Ok(());
        }
        let Some(arrival) = connection.take(direction) else { return Ok(()) };
        if is_overtaken && matches!(arrival, Arrival::Frame(_)) {
            self.faults.count(Fault::FrameReordered);
        }
        let frame = match arrival {
            Arrival::Frame(frame) => Some(frame),
            Arrival::Closed => None,
        };
        match direction {
            Direction::Up => self.arrive_at_server(id, frame)?,
            Direction::Down => self.arrive_at_phone(id, frame)?,
        }
        self.expect_arrivals(id);
        if self.connections.get(&id).is_some_and(Connection::is_over) {
            self.connections.remove(&id);
        }
        Ok(())
    }

    /// Whether the server still listens to a connection whose phone has reached it by a newer one since.
    fn is_overtaken(&self, id: u64) -> bool {
        let Some(phone) = self.connections.get(&id).map(|connection| connection.phone) else { return false };
        let is_heard = |id: u64| self.session_of(id).is_some();
        let mut newer = self.connections.range(id + 1..);
        is_heard(id) && newer.any(|(other, connection)| connection.phone == phone && is_heard(*other))
    }

    /// From now on nothing goes wrong any more: everything that is off starts, every signal is back.
    fn heal(&mut self) -> Result<(), Violation> {
        self.note(|| "the world is healed".to_owned());
        self.healed = true;
        self.heal_server()?;
        for phone in 0..self.phones.len() {
            if self.phones[phone].is_former_tab {
                self.close_tab(phone);
            }
            self.phones[phone].software = skew::Software::Same;
            self.boot(phone)?;
            self.set_online(phone, true)?;
            self.phones[phone].wants_to_leave |=
                self.shape.has(Cause::Handover) && self.dice.aside().permille(600);
        }
        Ok(())
    }

    /// Runs on until every machine says that it has nothing left to do, in bounded time (SIM-8).
    fn rest(&mut self) -> Result<(), Violation> {
        /// What a phone held in a former role, and was not asked for because the line broke just then, is seen by the
        /// second ping (HUB-9).
        const TWO_PINGS_MS: i64 = 60_000;
        let mut settled_ms = None;
        let patience_ms = self.now_ms + 15 * 60_000;
        let patience_steps = self.steps + 60_000;
        loop {
            for _ in 0..20 {
                self.step()?;
            }
            self.log_in_where_asked()?;
            self.hand_over_where_wanted();
            if self.is_quiet() {
                let since = *settled_ms.get_or_insert(self.now_ms);
                if self.faults.of(Fault::RoleChanged) == 0 || self.now_ms - since >= TWO_PINGS_MS {
                    return Ok(());
                }
            }
            if self.now_ms > patience_ms || self.steps > patience_steps {
                let mut restless = Vec::new();
                for phone in 0..self.phones.len() {
                    if !self.is_phone_quiet(phone) {
                        restless.push(format!("phone {phone}: {:?}", self.status(phone)));
                    }
                }
                let server = self.is_server_quiet();
                let lines: Vec<_> =
                    self.connections.iter().filter(|(_, c)| c.is_busy() || is_waited_for(c)).collect();
                return Err(format!(
                    "the world does not come to rest (I8): server quiet: {server}, phones {restless:#?}, {lines:#?}"
                ));
            }
        }
    }

    fn is_quiet(&mut self) -> bool {
        self.is_server_quiet()
            && !self.connections.values().any(|connection| connection.is_busy() || is_waited_for(connection))
            && (0..self.phones.len()).all(|phone| self.is_phone_quiet(phone))
    }
}

/// What the mishap of a draw comes from; none for what harms nobody by itself.
fn cause_of_mishap(draw: u64) -> Option<Cause> {
    Some(match draw {
        0..25 => Cause::Offline,
        25..40 => Cause::Cut,
        40..50 => Cause::ClockJump,
        50..60 => Cause::PhoneCrash,
        60..73 => Cause::PhoneRestore,
        73..75 => Cause::PhoneClone,
        75..77 => Cause::Evict,
        77..83 => Cause::ServerCrash,
        83..89 => Cause::ServerRestore,
        89..93 => Cause::Hostile,
        93..95 => Cause::Revoke,
        95..97 => Cause::Disable,
        97..104 => Cause::Tabs,
        104..108 => Cause::FullDisk,
        108..111 => Cause::Skew,
        111..115 => Cause::NewerSchema,
        115..122 => Cause::Office,
        122..132 => Cause::Handover,
        132..134 => Cause::Erase,
        _ => return None,
    })
}

/// Whether a phone believes in a connection that is dead.
fn is_waited_for(connection: &Connection) -> bool {
    connection.phone_open && connection.is_dead()
}
