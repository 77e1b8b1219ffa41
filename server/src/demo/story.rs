//! Nine months of an invented sales office, as deeds in order of time: cards, visits, acceptances, comments,
//! leavers, clashes, and one transfer with late work. Draws everything from one seed.

use std::collections::BTreeMap;

use chrono::{Datelike, Duration, NaiveDate, Weekday};
use shared::edit::{Edit, Patch, Value};
use shared::entropy::Entropy;
use shared::id::{DocId, TeamId};
use shared::ledger::{Command, Person, Role, Team};
use shared::refusal::Refusal;
use shared::time::UtcMillis;

use super::names::{
    ASSISTANT, BRANDS, COMPETITORS, GIVEN, MANAGER, PLACES, REPS, SURNAMES, TEAM_MANAGER, TEAMS, TITLES,
    TRADES,
};
use super::notes::{COMMENTS, Case, Note, pick};
use super::world::World;
use super::{Demo, DemoFailure, person};
use crate::hub::Administration;
use crate::store::SqliteStore;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const OFFSET_MINUTES: i32 = 480;
/// How far back the story goes.
const DAYS: i64 = 275;
/// Visits in all.
const VISITS: usize = 600;
/// Customers that the assistant has not accepted yet: the newest ones.
const AWAITING: usize = 5;
/// The customer that is transferred.
const TRANSFERRED: usize = 5;
/// The rep that it goes to.
const NEW_OWNER: usize = 1;
/// Phones of the assistant and the managers stand behind those of the reps.
const DESK: usize = REPS.len();
const TEAM_MANAGERS_PHONE: usize = DESK + 1;
const MANAGERS_PHONE: usize = DESK + 2;

/// What somebody does at a time.
#[derive(Debug, Clone)]
enum Deed {
    Create(usize),
    Visit { customer: usize, arrived: UtcMillis, left: UtcMillis, offline_for: Option<i64> },
    Void { customer: usize },
    Accept(usize),
    Comment(usize),
    Replace(usize),
    Offline(usize, i64),
    Online(usize),
    Address { customer: usize, phone: usize, address: String },
    Number { customer: usize, phone: usize, number: String },
    Transfer,
}

struct Customer {
    doc: DocId,
    rep: usize,
    name: String,
    case: Case,
    contact: String,
    contact_name: String,
    number: String,
    /// The card's first telephone record.
    phone: String,
    town: (&'static str, &'static str),
    last_visit: Option<DocId>,
    visits: Vec<(DocId, usize)>,
}

struct Story {
    world: World,
    dice: Entropy,
    customers: Vec<Customer>,
    offline_until: Vec<i64>,
    /// Until then the old owner goes on with the transferred customer, out of reach.
    late_until: i64,
    people: Vec<Person>,
    demo: Demo,
}

/// Who takes part, each with the team's name.
pub type Staff = Vec<(Person, Option<String>)>;

/// Tells the story to an empty store and returns it with what was made and who takes part.
pub fn tell(
    store: SqliteStore,
    now: UtcMillis,
    seed: u64,
) -> Result<(SqliteStore, Demo, Staff), DemoFailure> {
    let begin = UtcMillis(now.0 - (DAYS + 5) * DAY);
    let mut bytes = [0x5E; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut dice = Entropy::from_seed(bytes);
    let mut world = World::new(store, begin)?;
    let people = set_up(&mut world, seed)?;
    let customers: Vec<Customer> = (0..BRANDS.len()).map(|index| customer(index, &mut dice)).collect();
    let deeds = schedule(now, &mut dice);
    let demo =
        Demo { logins: Vec::new(), customers: customers.len(), visits: 0, comments: 0, refused: Vec::new() };
    let persons = people.iter().map(|(person, _)| person.clone()).collect();
    let mut story = Story {
        world,
        dice,
        customers,
        offline_until: vec![i64::MIN; REPS.len()],
        late_until: i64::MIN,
        people: persons,
        demo,
    };
    for ((time, _), deed) in deeds {
        story.world.move_to(UtcMillis(time));
        story.world.wake();
        story.act(time, deed);
    }
    story.world.move_to(now);
    (0..REPS.len()).for_each(|rep| story.world.go_online(rep));
    for round in 1..=5 {
        story.world.move_to(UtcMillis(now.0 + round * 1_000));
        story.world.wake();
    }
    let unsettled = (0..story.people.len())
        .filter(|phone| !story.world.is_settled(*phone))
        .map(|phone| format!("unsettled: {phone}"));
    story.demo.refused.extend(unsettled);
    Ok((story.world.into_store(), story.demo, people))
}

fn set_up(world: &mut World, seed: u64) -> Result<Vec<(Person, Option<String>)>, DemoFailure> {
    let teams: Vec<Team> = (1..)
        .zip(TEAMS)
        .map(|(number, name)| Team { id: TeamId([number; 16]), name: name.to_owned() })
        .collect();
    for team in &teams {
        world.administer(Administration::SetTeam { team: team.clone(), by: None })?;
    }
    let mut people: Vec<(Person, Option<String>)> = Vec::new();
    let mut add = |name: &str, role, team: Option<usize>| {
        let team = team.map(|team| &teams[team]);
        let person = person(people.len() as u8 + 1, name, role, team.map(|team| team.id));
        people.push((person, team.map(|team| team.name.clone())));
    };
    REPS.iter().for_each(|(name, team)| add(name, Role::Rep, Some(*team)));
    add(ASSISTANT, Role::Assistant, None);
    add(TEAM_MANAGER, Role::Manager, Some(0));
    add(MANAGER, Role::Manager, None);
    for (person, _) in &people {
        world.administer(Administration::SetPerson { person: person.clone(), by: None })?;
    }
    for (person, _) in &people {
        let team = teams.iter().find(|team| Some(team.id) == person.team);
        let label = if person.role == Role::Rep { "业务手机" } else { "办公室电脑" };
        world.add_phone(person, team, label, seed)?;
    }
    Ok(people)
}

fn customer(index: usize, dice: &mut Entropy) -> Customer {
    let trade = TRADES[index % TRADES.len()];
    let (title, ..) = TITLES[dice.below(TITLES.len() as u64) as usize];
    let surname = pick(dice, &SURNAMES);
    let contact_name = format!("{surname}{}", pick(dice, &GIVEN));
    let case = Case::new(trade, address_as(surname, title), dice);
    let form = pick(dice, &["有限公司", "有限公司", "厂", "（东莞）有限公司"]);
    Customer {
        doc: dice.doc_id(),
        rep: index % REPS.len(),
        name: format!(
            "{}{}{form}",
            BRANDS[index],
            trade.names[dice.below(trade.names.len() as u64) as usize]
        ),
        case,
        contact: record_id(dice),
        contact_name,
        number: number(dice),
        phone: record_id(dice),
        town: pick(dice, &PLACES),
        last_visit: None,
        visits: Vec::new(),
    }
}

/// How reps call a contact: 王厂长, 李课长, 陈工.
fn address_as(surname: &str, title: &str) -> String {
    let short = match title {
        "厂长" => "厂长",
        "设备课长" => "课长",
        "生产经理" | "采购主管" => "经理",
        "总经理" => "总",
        _ => "小姐",
    };
    format!("{surname}{short}")
}

fn record_id(dice: &mut Entropy) -> String {
    dice.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(dice: &mut Entropy) -> String {
    // Four zeros in the middle belong to no area's block.
    format!("1{}0000{:04}", pick(dice, &["38", "39", "36", "50"]), dice.below(10_000))
}

type Deeds = BTreeMap<(i64, usize), Deed>;

/// Every deed in order of time.
fn schedule(now: UtcMillis, dice: &mut Entropy) -> Deeds {
    let mut deeds = Deeds::new();
    let mut put = |time: i64, deed: Deed| {
        let number = deeds.len();
        deeds.insert((time.min(now.0 - MINUTE), number), deed);
    };
    // Two in the afternoon, so that the work before and after the transfer falls into the same day.
    let moment = at_hour(work_time(now.0 - 18 * DAY, now.0, dice), 14);
    let mut diary = Diary::new(now.0);
    diary.take(TRANSFERRED % REPS.len(), moment - 4 * HOUR, moment + 3 * HOUR);
    let count = BRANDS.len();
    let start = now.0 - DAYS * DAY;
    let mut left = VISITS;
    for index in 0..count {
        let age = match index {
            index if index + AWAITING >= count => (count - index) as i64 - 1,
            index if index < 40 => DAYS - 1 - index as i64 * 2 - dice.below(3) as i64,
            index => DAYS - 80 - (index as i64 - 40) * 11,
        };
        // Early enough for a visit on the same day.
        let created = work_time(now.0 - age * DAY, now.0, dice).max(start);
        let created = created.min(at_hour(created, 9) + dice.below(90) as i64 * MINUTE);
        put(created, Deed::Create(index));
        let rep = index % REPS.len();
        let customers_left = count - index;
        let visits = match index {
            index if index + AWAITING >= count => 1 + dice.below(2) as usize,
            index if index + AWAITING + 15 >= count => 6 + dice.below(4) as usize,
            _ => left.saturating_sub(AWAITING * 2 + 15 * 8) / (customers_left - AWAITING - 15).max(1),
        };
        let visits = if index + 1 == count { left } else { visits.min(left) };
        left -= visits;
        let mut times = vec![created + 3 * MINUTE];
        (1..visits).for_each(|_| {
            times.push(work_time(created + dice.below((now.0 - created).max(1) as u64) as i64, now.0, dice))
        });
        for wanted in times {
            let stay = (15 + dice.below(55) as i64) * MINUTE;
            let rep = if index == TRANSFERRED && wanted > moment { NEW_OWNER } else { rep };
            let arrived = diary.book(rep, wanted.max(created), created, stay);
            let left = (arrived + stay).min(now.0 - MINUTE);
            let recorded = match dice.below(100) {
                0..4 => left + DAY,
                4..14 => left + 3 * HOUR,
                _ => left + MINUTE,
            };
            let offline_for = (dice.below(12) == 0).then(|| (2 + dice.below(7) as i64) * HOUR);
            put(
                recorded,
                Deed::Visit {
                    customer: index,
                    arrived: UtcMillis(arrived),
                    left: UtcMillis(left),
                    offline_for,
                },
            );
        }
        if index + AWAITING < count {
            let accepted = work_time(created + DAY + dice.below(30) as i64 * HOUR, now.0, dice);
            put(accepted.max(created + 20 * MINUTE), Deed::Accept(index));
        }
    }
    (0..48).for_each(|_| {
        let time = work_time(now.0 - dice.below(120 * 24) as i64 * HOUR, now.0, dice);
        put(time, Deed::Comment(dice.below(1 << 20) as usize))
    });
    for index in [2, 9, 13, 21, 28, 34] {
        put(work_time(now.0 - (20 + dice.below(90) as i64) * DAY, now.0, dice), Deed::Replace(index));
    }
    for index in [4, 11, 17, 25, 31] {
        let time = work_time(now.0 - (15 + dice.below(60) as i64) * DAY, now.0, dice);
        put(time, Deed::Void { customer: index });
    }
    clashes(now, &mut put);
    transfer(moment, &mut put);
    deeds
}

/// Three clashes: two addresses, and one number replaced twice at once (S3).
fn clashes(now: UtcMillis, put: &mut impl FnMut(i64, Deed)) {
    for (customer, days, typed, known) in
        [(0, 6, "新厂区B栋（搬迁中）", "原厂区A栋1楼"), (12, 9, "二楼仓库收货", "一楼东门收货")]
    {
        let rep = customer % REPS.len();
        let time = at_hour(now.0 - days * DAY, 9);
        put(time, Deed::Offline(rep, time + 3 * HOUR));
        put(time + HOUR, Deed::Address { customer, phone: DESK, address: known.to_owned() });
        put(time + 2 * HOUR, Deed::Address { customer, phone: rep, address: typed.to_owned() });
        put(time + 3 * HOUR, Deed::Online(rep));
    }
    let (customer, time) = (8, at_hour(now.0 - 4 * DAY, 9));
    let rep = customer % REPS.len();
    put(time, Deed::Offline(rep, time + 3 * HOUR));
    put(time + HOUR, Deed::Number { customer, phone: DESK, number: "13600000761".to_owned() });
    put(time + 2 * HOUR, Deed::Number { customer, phone: rep, number: "13600000716".to_owned() });
    put(time + 3 * HOUR, Deed::Online(rep));
}

/// A transfer while the old rep has unsent work of every kind (S2).
fn transfer(moment: i64, put: &mut impl FnMut(i64, Deed)) {
    let rep = TRANSFERRED % REPS.len();
    let visit = |time: i64| Deed::Visit {
        customer: TRANSFERRED,
        arrived: UtcMillis(time - 30 * MINUTE),
        left: UtcMillis(time - MINUTE),
        offline_for: None,
    };
    put(moment - 4 * HOUR, Deed::Offline(rep, moment + 6 * HOUR));
    put(moment - 3 * HOUR, visit(moment - 3 * HOUR));
    put(moment, Deed::Transfer);
    put(moment + 2 * HOUR, visit(moment + 2 * HOUR));
    put(
        moment + 3 * HOUR,
        Deed::Address { customer: TRANSFERRED, phone: rep, address: "新厂2号厂房".to_owned() },
    );
    put(moment + 6 * HOUR, Deed::Online(rep));
}

/// That hour of a time's day, China's clock.
fn at_hour(time: i64, hour: i64) -> i64 {
    let offset = i64::from(OFFSET_MINUTES) * MINUTE;
    (time + offset).div_euclid(DAY) * DAY - offset + hour * HOUR
}

/// When each rep is out: nobody is in two factories at once.
struct Diary {
    now: i64,
    taken: [Vec<(i64, i64)>; REPS.len()],
}

impl Diary {
    /// Between two visits somebody drives at least so long.
    const WAY: i64 = 20 * MINUTE;
    const STEP: i64 = 7 * MINUTE;

    fn new(now: i64) -> Self {
        Self { now, taken: Default::default() }
    }

    fn take(&mut self, rep: usize, from: i64, until: i64) {
        self.taken[rep].push((from, until));
    }

    /// Finds room for a visit near the wanted time, in working hours between `earliest` and the present: later on
    /// that day, on the next days, else on the days before; and takes it.
    fn book(&mut self, rep: usize, wanted: i64, earliest: i64, stay: i64) -> i64 {
        let later = (0..30).map(|days| if days == 0 { wanted } else { at_hour(wanted + days * DAY, 9) });
        let before = (0..DAYS).map(|days| at_hour(wanted - days * DAY, 9));
        let days: Vec<i64> = later.chain(before).map(|from| from.max(earliest)).collect();
        let room = |until_hour| days.iter().find_map(|from| self.room_from(rep, *from, until_hour, stay));
        let arrived = room(17).or_else(|| room(20)).unwrap_or(wanted);
        self.take(rep, arrived, arrived + stay);
        arrived
    }

    fn room_from(&self, rep: usize, from: i64, until_hour: i64, stay: i64) -> Option<i64> {
        let is_sunday = UtcMillis(from).day(OFFSET_MINUTES)?.weekday() == Weekday::Sun;
        let end = at_hour(from, until_hour).min(self.now - 2 * MINUTE);
        let mut starts = (0..).map(|step| from + step * Self::STEP).take_while(|start| start + stay <= end);
        let is_free = |start: &i64| {
            let clear = |(taken, until): &(i64, i64)| {
                start + stay + Self::WAY <= *taken || *until + Self::WAY <= *start
            };
            self.taken[rep].iter().all(clear)
        };
        if is_sunday { None } else { starts.find(is_free) }
    }
}

/// A moment of a working day near a time, never after `now`: half past eight to five, China's clock.
fn work_time(near: i64, now: i64, dice: &mut Entropy) -> i64 {
    let minute = 8 * 60 + 30 + dice.below(8 * 60 + 20) as i64;
    let mut day = UtcMillis(near).day(OFFSET_MINUTES).unwrap_or(NaiveDate::MIN);
    loop {
        let midnight = day.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc().timestamp_millis();
        let time = midnight - i64::from(OFFSET_MINUTES) * MINUTE + minute * MINUTE;
        if time <= now - 90 * MINUTE && day.weekday() != Weekday::Sun {
            return time;
        }
        day -= Duration::days(1);
    }
}

impl Story {
    fn act(&mut self, time: i64, deed: Deed) {
        match deed {
            Deed::Create(index) => self.create(index),
            Deed::Visit { customer, arrived, left, offline_for } => {
                self.visit(time, customer, arrived, left, offline_for);
            }
            Deed::Void { customer } => self.void(customer),
            Deed::Accept(index) => {
                let asked = self.world.ask(DESK, Command::Accept { customer: self.customers[index].doc });
                self.note("accept", asked);
            }
            Deed::Comment(choice) => self.comment(choice),
            Deed::Replace(index) => self.replace(time, index),
            Deed::Offline(rep, until) => self.offline(rep, until),
            Deed::Online(rep) => self.online(time, rep),
            Deed::Address { customer, phone, address } => {
                let town = self.customers[customer].town;
                let address = format!("东莞市{}{}{address}", town.0, town.1);
                self.edit_card(customer, phone, [("address".to_owned(), Value::Str(address))].into());
            }
            Deed::Number { customer, phone, number } => self.number(customer, phone, &number),
            Deed::Transfer => {
                let customer = &mut self.customers[TRANSFERRED];
                let old = customer.rep;
                customer.rep = NEW_OWNER;
                let to = self.people[customer.rep].id;
                let command = Command::Transfer {
                    customer: customer.doc,
                    to,
                    reason: Some("片区调整，长安片由新同事负责".to_owned()),
                };
                let asked = self.world.ask(MANAGERS_PHONE, command);
                self.note("transfer", asked);
                self.late_until = self.offline_until[old];
            }
        }
        // Online again whoever's time has come; a later deed of the same phone finds it so.
        for rep in 0..REPS.len() {
            if self.offline_until[rep] != i64::MIN && self.offline_until[rep] <= time {
                self.online(time, rep);
            }
        }
    }

    fn note<T>(&mut self, what: &str, made: Result<T, Refusal>) {
        if let Err(refusal) = made {
            self.demo.refused.push(format!(
                "{what}: {:?} {}",
                refusal.rule,
                refusal.about.unwrap_or_default()
            ));
        }
    }

    fn offline(&mut self, rep: usize, until: i64) {
        self.offline_until[rep] = self.offline_until[rep].max(until);
        self.world.go_offline(rep);
    }

    fn online(&mut self, time: i64, rep: usize) {
        if self.offline_until[rep] <= time {
            self.offline_until[rep] = i64::MIN;
            self.world.go_online(rep);
        }
    }

    fn edit_card(&mut self, customer: usize, phone: usize, fields: Patch) {
        let edit = Edit::EditCustomer { customer: self.customers[customer].doc, fields };
        let made = self.world.edit(phone, edit);
        self.note("card", made);
    }

    fn create(&mut self, index: usize) {
        let customer = &self.customers[index];
        let dice = &mut self.dice;
        let trade = customer.case.trade;
        let mut fields = Patch::new();
        let mut put = |path: String, value: Value| drop(fields.insert(path, value));
        let level = pick(dice, &["C", "C", "B", "B"]);
        let words = [
            ("name", customer.name.as_str()),
            ("short_name", BRANDS[index]),
            ("industry", trade.industry),
            ("province", "广东省"),
            ("city", "东莞市"),
            ("district", customer.town.0),
            ("level", level),
            ("category", pick(dice, &["新", "固定", "重要", "潜在"])),
            ("capital", pick(dice, &["内资", "内资", "台资", "港资", "外资"])),
            ("source", pick(dice, &["路过", "转介绍", "网络", "展会", "亲友"])),
            ("size", pick(dice, &["50人以下", "100人左右", "200～300人", "500人以上"])),
        ];
        words.iter().for_each(|(key, word)| put((*key).to_owned(), Value::from(*word)));
        put(
            "address".to_owned(),
            Value::Str(format!("东莞市{}{}{}号", customer.town.0, customer.town.1, 3 + dice.below(120))),
        );
        let phone = &customer.phone;
        put(format!("phones/{phone}/number"), customer.number.as_str().into());
        put(format!("phones/{phone}/label"), "手机".into());
        put(format!("phones/{phone}/state"), "active".into());
        put_contact(
            &mut put,
            &customer.contact,
            &customer.contact_name,
            pick(dice, &TITLES),
            &customer.number,
        );
        for machine in trade.machines.iter().take(2 + dice.below(3) as usize) {
            let record = record_id(dice);
            put(format!("equipment/{record}/type"), (*machine).into());
            put(format!("equipment/{record}/count"), Value::Int(2 + dice.below(18) as i64));
        }
        for product in trade.products.iter().take(1 + dice.below(3) as usize) {
            let record = record_id(dice);
            put(format!("consumption/{record}/product"), product.name.into());
            put(format!("consumption/{record}/amount"), Value::Str((1 + dice.below(9)).to_string()));
            put(format!("consumption/{record}/unit"), product.unit.into());
            put(format!("consumption/{record}/period"), "月".into());
            put(format!("consumption/{record}/present_brand"), customer.case.competitor.into());
            put(
                format!("consumption/{record}/present_price_fen"),
                Value::Int((product.yuan - 30 - dice.below(70) as i64) * 100),
            );
        }
        let competitor = record_id(dice);
        put(format!("competitors/{competitor}/name"), pick(dice, &COMPETITORS).into());
        put(
            "need".to_owned(),
            Value::Str(format!("{}；希望供应商能定期检测。", pick(dice, trade.complaints))),
        );
        if dice.below(3) == 0 {
            put(
                "remarks".to_owned(),
                pick(
                    dice,
                    &[
                        "月结60天，25号前对账。",
                        "收货时间上午9点到11点。",
                        "进厂要登记，穿长裤。",
                        "周六上半天班，周日休息。",
                    ],
                )
                .into(),
            );
        }
        let (doc, rep) = (customer.doc, customer.rep);
        let made = self.world.edit(rep, Edit::CreateCustomer { customer: doc, fields });
        self.note("create", made);
    }

    fn visit(
        &mut self,
        time: i64,
        index: usize,
        arrived: UtcMillis,
        left: UtcMillis,
        offline_for: Option<i64>,
    ) {
        // What the schedule meant for the old owner after the transfer is the new owner's, save the late work itself.
        let late = index == TRANSFERRED && time < self.late_until;
        let rep = if late { TRANSFERRED % REPS.len() } else { self.customers[index].rep };
        if index == TRANSFERRED && rep == NEW_OWNER {
            // Nobody visits a new customer before having heard of it.
            self.online(i64::MAX, rep);
        }
        if let Some(offline_for) = offline_for {
            self.offline(rep, time + offline_for);
        }
        let note = self.customers[index].case.write(&mut self.dice);
        let fields = self.visit_fields(index, &note, arrived, left);
        let customer = &mut self.customers[index];
        let visit = self.dice.doc_id();
        customer.last_visit = Some(visit);
        customer.visits.push((visit, rep));
        let made = self.world.edit(rep, Edit::CreateVisit { visit, customer: customer.doc, fields });
        self.demo.visits += usize::from(made.is_ok());
        self.note("visit", made);
    }

    fn visit_fields(&mut self, index: usize, note: &Note, arrived: UtcMillis, left: UtcMillis) -> Patch {
        let customer = &self.customers[index];
        let dice = &mut self.dice;
        let mut fields = Patch::new();
        let mut put = |path: String, value: Value| drop(fields.insert(path, value));
        let product = customer.case.product;
        let words = [
            ("visit_kind", note.kind),
            ("purpose", note.purpose),
            ("record", &note.record),
            ("result", note.result),
            ("status_after", note.status),
        ];
        words.iter().for_each(|(key, word)| put((*key).to_owned(), Value::from(*word)));
        put("arrived".to_owned(), Value::Str(arrived.to_iso(OFFSET_MINUTES)));
        put("left".to_owned(), Value::Str(left.to_iso(OFFSET_MINUTES)));
        for (key, text) in [("problem", &note.problem), ("countermeasure", &note.countermeasure)] {
            text.iter().for_each(|text| put(key.to_owned(), text.as_str().into()));
        }
        if note.result != "未见到人" {
            let met = record_id(dice);
            put(format!("people_met/{met}/contact"), customer.contact.as_str().into());
            put(format!("people_met/{met}/name"), customer.contact_name.as_str().into());
            let record = record_id(dice);
            put(format!("products/{record}/name"), product.name.into());
        }
        if let Some((words, days)) = &note.next {
            let record = record_id(dice);
            let day = UtcMillis(left.0 + days * DAY).day(OFFSET_MINUTES).unwrap_or(NaiveDate::MIN);
            put(format!("next_actions/{record}/text"), words.as_str().into());
            put(format!("next_actions/{record}/day"), Value::Str(day.to_string()));
        }
        if let Some((product, yuan)) = note.quote {
            let record = format!("quotes/{}", record_id(dice));
            let words = [("product", product.name), ("pack", product.pack), ("unit", product.unit)];
            words.iter().for_each(|(key, word)| put(format!("{record}/{key}"), Value::from(*word)));
            put(format!("{record}/price_fen"), Value::Int(yuan * 100));
            put(format!("{record}/position"), Value::Int(0));
            let until = UtcMillis(left.0 + 30 * DAY).day(OFFSET_MINUTES).unwrap_or(NaiveDate::MIN);
            put(format!("{record}/valid_to"), Value::Str(until.to_string()));
        }
        if let Some((kind, quantity, result)) = note.sample {
            let record = format!("samples/{}", record_id(dice));
            let words =
                [("kind", kind), ("product", product.name), ("quantity", quantity), ("unit", product.unit)];
            words.iter().for_each(|(key, word)| put(format!("{record}/{key}"), Value::from(*word)));
            result.iter().for_each(|result| put(format!("{record}/result"), Value::from(*result)));
        }
        if let Some(yuan) = note.competitor_price {
            let record = format!("competitor_seen/{}", record_id(dice));
            put(format!("{record}/name"), customer.case.competitor.into());
            put(format!("{record}/product"), product.name.into());
            put(format!("{record}/price_fen"), Value::Int(yuan * 100));
        }
        if let Some(gift) = note.gift {
            let record = format!("gifts/{}", record_id(dice));
            put(format!("{record}/name"), gift.into());
            put(format!("{record}/quantity"), "2盒".into());
        }
        fields
    }

    fn void(&mut self, index: usize) {
        let Some((visit, rep)) = self.customers[index].visits.last().copied() else {
            return;
        };
        let made = self.world.edit(rep, Edit::VoidVisit { visit, reason: "同一次拜访录了两遍".to_owned() });
        self.note("void", made);
    }

    fn comment(&mut self, choice: usize) {
        let visited: Vec<(DocId, DocId, usize)> = self
            .customers
            .iter()
            .filter_map(|customer| Some((customer.doc, customer.last_visit?, customer.rep)))
            .collect();
        if visited.is_empty() {
            return;
        }
        let (customer, visit, rep) = visited[choice % visited.len()];
        let phone =
            if REPS[rep].1 == 0 && !choice.is_multiple_of(3) { TEAM_MANAGERS_PHONE } else { MANAGERS_PHONE };
        let text = pick(&mut self.dice, &COMMENTS).to_owned();
        let comment = self.dice.doc_id();
        // Under a visit that has not arrived nobody can write.
        let rep_is_silent = self.offline_until[rep] != i64::MIN;
        let about = (!rep_is_silent).then_some(visit);
        let made = self.world.edit(phone, Edit::CreateComment { comment, customer, about, text });
        self.demo.comments += usize::from(made.is_ok());
        self.note("comment", made);
    }

    /// The contact leaves and is replaced (S4).
    fn replace(&mut self, time: i64, index: usize) {
        let dice = &mut self.dice;
        let successor = record_id(dice);
        let (title, department, part) = pick(dice, &TITLES);
        let surname = pick(dice, &SURNAMES);
        let name = format!("{surname}{}", pick(dice, &GIVEN));
        let number = number(dice);
        let day = UtcMillis(time - 5 * DAY).day(OFFSET_MINUTES).unwrap_or(NaiveDate::MIN);
        let customer = &mut self.customers[index];
        let old = std::mem::replace(&mut customer.contact, successor.clone());
        customer.contact_name = name.clone();
        customer.case.contact = address_as(surname, title);
        let mut fields = Patch::new();
        let mut put = |path: String, value: Value| drop(fields.insert(path, value));
        put(format!("contacts/{old}/state"), "离职".into());
        put(format!("contacts/{old}/state_date"), Value::Str(day.to_string()));
        put(format!("contacts/{old}/successor"), successor.as_str().into());
        put_contact(&mut put, &successor, &name, (title, department, part), &number);
        let rep = customer.rep;
        self.edit_card(index, rep, fields);
    }

    fn number(&mut self, index: usize, phone: usize, number: &str) {
        // Both add a number and retire the same one.
        let record = record_id(&mut self.dice);
        let old = &self.customers[index].phone;
        let fields: Patch = [
            (format!("phones/{old}/state"), Value::from("retired")),
            (format!("phones/{record}/replaces"), Value::from(old.as_str())),
            (format!("phones/{record}/number"), Value::from(number)),
            (format!("phones/{record}/label"), Value::from("手机")),
            (format!("phones/{record}/state"), Value::from("active")),
        ]
        .into();
        self.edit_card(index, phone, fields);
    }
}

fn put_contact(
    put: &mut impl FnMut(String, Value),
    record: &str,
    name: &str,
    (title, department, part): (&str, &str, &str),
    number: &str,
) {
    let words = [
        ("name", name),
        ("title", title),
        ("department", department),
        ("part", part),
        ("phone", number),
        ("state", "在职"),
    ];
    words.iter().for_each(|(key, word)| put(format!("contacts/{record}/{key}"), Value::from(*word)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IMP-11
    #[test]
    fn nobody_is_in_two_factories_at_once_and_nobody_visits_at_night() {
        for hour in [0, 7, 15] {
            let now = 1_795_312_800_000 + hour * HOUR;
            let mut visits: [Vec<(i64, i64)>; REPS.len()] = Default::default();
            for deed in schedule(UtcMillis(now), &mut Entropy::from_seed([7; 32])).into_values() {
                if let Deed::Visit { customer, arrived, left, .. } = deed {
                    // Of the transferred one's visits some are another's.
                    if customer == TRANSFERRED {
                        continue;
                    }
                    visits[customer % REPS.len()].push((arrived.0, left.0));
                }
            }
            for mut day in visits {
                day.sort_unstable();
                let overlaps = day.windows(2).filter(|pair| pair[1].0 < pair[0].1).count();
                let out = |time: i64| time < at_hour(time, 8) || time > at_hour(time, 20);
                let at_night = day.iter().filter(|(arrived, left)| out(*arrived) || out(*left)).count();
                assert_eq!((overlaps, at_night), (0, 0), "at {hour}");
            }
        }
    }
}
