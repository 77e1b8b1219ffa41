//! Who is asking: passwords, access tokens, refresh tokens, socket tickets, and the limits on guessing.
//! Knows nothing of documents or grants; what a person may see is the hub's word.

pub mod password;
pub mod token;
pub mod ticket;
pub mod guess;
