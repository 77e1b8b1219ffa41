//! The simulated network between phones and the server. Within one connection frames keep their order, as
//! TCP promises; they may be late, doubled (a repeated request), or end at any frame or within one, for one side
//! or both. Frames of an old connection may arrive after those of a newer one. Knows nothing of frames' contents.

use std::collections::VecDeque;

use crate::dice::Dice;
use crate::fault::{Fault, FaultCounts};

/// How bad the network is, in chances per thousand frames.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Usual delay of a frame, at most.
    pub delay_ms_max: u64,
    /// Chance of a delay of seconds.
    pub late_permille: u64,
    /// Chance that nothing more arrives in this direction.
    pub drop_permille: u64,
    /// Chance that a frame arrives twice.
    pub double_permille: u64,
    /// Chance that the connection ends after this frame.
    pub cut_permille: u64,
    /// Chance that a dial fails.
    pub dial_fails_permille: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const CALM: Weather = Weather {
        delay_ms_max: 40,
        late_permille: 0,
        drop_permille: 0,
        double_permille: 0,
        cut_permille: 0,
        dial_fails_permille: 0,
    };

    /// Draws a weather for one world, from nearly calm to awful.
    pub fn draw(dice: &mut Dice) -> Self {
        let badness = dice.below(4);
        Weather {
            delay_ms_max: dice.between(10, 400),
            late_permille: badness * 20,
            drop_permille: badness * 4,
            double_permille: badness * 20,
            cut_permille: badness * 15,
            dial_fails_permille: badness * 60,
        }
    }
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the phone to the server.
    Up,
    /// From the server to the phone.
    Down,
}

/// What arrives at an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A frame.
    Frame(Vec<u8>),
    /// The other side is gone.
    Closed,
}

/// Of a frame in which a connection is cut, usually nothing arrives, now and then its first bytes: a socket hands
/// over whole frames only, but what stands between may take an end for the end of the frame.
fn torn((at, arrival): &(i64, Arrival), dice: &Dice) -> Option<(i64, Arrival)> {
    let Arrival::Frame(frame) = arrival else { return None };
    let mut dice = dice.aside();
    let length = dice.index(frame.len())?;
    dice.permille(250).then(|| (*at, Arrival::Frame(frame[..length].to_vec())))
}

/// One direction of one connection.
#[derive(Debug, Default)]
struct Pipe {
    underway: VecDeque<(i64, Arrival)>,
    /// Nothing put in any more comes out.
    dead: bool,
    /// The end was put in: nothing may follow it.
    ended: bool,
}

/// A connection between one phone and the server.
#[derive(Debug)]
pub struct Connection {
    /// The phone at its one end.
    pub phone: usize,
    /// Whether the phone still listens.
    pub phone_open: bool,
    /// Whether the server still listens.
    pub server_open: bool,
    /// Whether it carries one HTTP request and its answer.
    pub is_one_shot: bool,
    /// The frames of the request, until it leaves.
    pub request: Option<Vec<Vec<u8>>>,
    /// Pushes that the phone sent here and that were not answered here.
    pub pushes_unanswered: usize,
    up: Pipe,
    down: Pipe,
}

impl Connection {
    /// A fresh connection.
    pub fn new(phone: usize) -> Self {
        Self {
            phone,
            phone_open: true,
            server_open: true,
            is_one_shot: false,
            request: None,
            pushes_unanswered: 0,
            up: Pipe::default(),
            down: Pipe::default(),
        }
    }

    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// Puts a frame in. Returns whether the weather cuts the connection after it.
    pub fn send(
        &mut self,
        direction: Direction,
        frame: Vec<u8>,
        now_ms: i64,
        weather: &Weather,
        dice: &mut Dice,
        faults: &mut FaultCounts,
    ) -> bool {
        let pipe = self.pipe(direction);
        if pipe.dead || pipe.ended {
            return false;
        }
        if dice.permille(weather.drop_permille) {
            faults.count(Fault::FrameDropped);
            pipe.dead = true;
            return false;
        }
        let mut delay = dice.between(1, weather.delay_ms_max) as i64;
        if dice.permille(weather.late_permille) {
            faults.count(Fault::FrameDelayed);
            delay += dice.between(1_000, 20_000) as i64;
        }
        let after_last = pipe.underway.back().map_or(0, |(at, _)| *at);
        let arrives = (now_ms + delay).max(after_last);
        if dice.permille(weather.double_permille) {
            faults.count(Fault::FrameDoubled);
            pipe.underway.push_back((arrives, Arrival::Frame(frame.clone())));
        }
        pipe.underway.push_back((arrives, Arrival::Frame(frame)));
        dice.permille(weather.cut_permille)
    }

    /// Ends the connection from one side in good order: what was sent arrives, then the end.
    pub fn close(&mut self, direction: Direction, now_ms: i64) {
        let pipe = self.pipe(direction);
        if !pipe.dead && !pipe.ended {
            let at = pipe.underway.back().map_or(now_ms + 1, |(at, _)| *at);
            pipe.underway.push_back((at, Arrival::Closed));
            pipe.ended = true;
        }
    }

    /// Cuts the connection: of what is under way a prefix arrives, then each side learns of the end, or one
    /// of them never does.
    pub fn cut(&mut self, now_ms: i64, dice: &mut Dice, faults: &mut FaultCounts) {
        faults.count(Fault::ConnectionCut);
        let unaware = dice.below(4);
        for (direction, number) in [(Direction::Up, 0), (Direction::Down, 1)] {
            let pipe = self.pipe(direction);
            let kept = dice.between(0, pipe.underway.len() as u64) as usize;
            if pipe.ended && kept == pipe.underway.len() {
                continue;
            }
            let torn = pipe.underway.get(kept).and_then(|next| torn(next, dice));
            pipe.underway.truncate(kept);
            pipe.ended = false;
            if let Some(torn) = torn {
                faults.count(Fault::FrameTorn);
                pipe.underway.push_back(torn);
            }
            if unaware == number {
                faults.count(Fault::ConnectionHalfOpen);
                pipe.dead = true;
            } else {
                let at = pipe.underway.back().map_or(now_ms + 1, |(at, _)| *at);
                pipe.underway.push_back((at, Arrival::Closed));
                pipe.ended = true;
            }
        }
    }

    /// When the next arrival in a direction is due.
    pub fn due(&self, direction: Direction) -> Option<i64> {
        let pipe = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        pipe.underway.front().map(|(at, _)| *at)
    }

    /// Takes the next arrival in a direction.
    pub fn take(&mut self, direction: Direction) -> Option<Arrival> {
        self.pipe(direction).underway.pop_front().map(|(_, arrival)| arrival)
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        !self.up.underway.is_empty() || !self.down.underway.is_empty()
    }

    /// Whether one side waits for what will never come. It has to notice the silence by itself.
    pub fn is_dead(&self) -> bool {
        self.up.dead || self.down.dead
    }

    /// Whether neither side listens and nothing is under way.
    pub fn is_over(&self) -> bool {
        !self.phone_open && !self.server_open
    }
}
