//! Randomness as an argument. The driver seeds one generator from the operating system (or, in the
//! simulator, from the world's seed) and the machines draw from it, so a run can be repeated.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::id::{ActorId, DeviceId, DocId, IncarnationId, PersonId, RequestId, TeamId};

/// A seeded cryptographic generator. Two generators with one seed draw the same ids: a driver must
/// never reuse a seed across two openings of a store.
pub struct Entropy(ChaCha12Rng);

impl Entropy {
    /// Starts a generator from 32 bytes of the driver's randomness.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Draws bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws a number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.next_u64() % bound }
    }

    /// Draws a new document id.
    pub fn doc_id(&mut self) -> DocId {
        DocId(self.bytes())
    }

    /// Draws a new actor id.
    pub fn actor_id(&mut self) -> ActorId {
        ActorId(self.bytes())
    }

    /// Draws a new request id.
    pub fn request_id(&mut self) -> RequestId {
        RequestId(self.bytes())
    }

    /// Draws a new person id.
    pub fn person_id(&mut self) -> PersonId {
        PersonId(self.bytes())
    }

    /// Draws a new team id.
    pub fn team_id(&mut self) -> TeamId {
        TeamId(self.bytes())
    }

    /// Draws a new device id.
    pub fn device_id(&mut self) -> DeviceId {
        DeviceId(self.bytes())
    }

    /// Draws a new incarnation id.
    pub fn incarnation_id(&mut self) -> IncarnationId {
        IncarnationId(self.bytes())
    }
}
