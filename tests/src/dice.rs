//! The one source of chance in a simulation: a small generator seeded by one number. Knows nothing of
//! what is decided with it. Not cryptographic; the machines under test draw from their own
//! [`Entropy`], which is seeded from here.

use shared::entropy::Entropy;

/// A seeded generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x6461_7962_6f6f_6b21)
    }

    /// Dice for a question beside the story: what is drawn from them moves no draw of these.
    pub fn aside(&self) -> Self {
        Self::new(self.clone().word())
    }

    /// Draws 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Draws a number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw below nothing");
        self.word() % bound
    }

    /// Draws a number from `from` up to and including `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Draws an index into something of this length; none if it is empty.
    pub fn index(&mut self, length: usize) -> Option<usize> {
        if length == 0 { None } else { Some(self.below(length as u64) as usize) }
    }

    /// Picks one of a slice.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        self.index(choices.len()).map(|index| &choices[index])
    }

    /// Says yes so many times in a thousand.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// Draws the seed of a generator.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&self.word().to_le_bytes());
        }
        seed
    }

    /// Draws a generator of its own, for one machine.
    pub fn entropy(&mut self) -> Entropy {
        Entropy::from_seed(self.seed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_numbers_and_others_do_not() {
        let draw = |seed| (0..8).map(|_| Dice::new(seed).word()).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
