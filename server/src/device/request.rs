//! The connection of a phone where no socket can be had: the same frames in requests to `POST /sync`. Every
//! request begins with a hello, so this keeps the machine's first one and puts the newest cursor into it. The
//! machine does not notice; it only hears nothing by itself.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use shared::protocol::{
    ClientFrame, Hello, ServerFrame, cut_sequence, decode_client_frame, decode_server_frame, encode,
};

/// Bytes of one answer: a page and what comes before it, with room.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A connection by requests.
pub struct Requests {
    agent: ureq::Agent,
    url: String,
    token: String,
    hello: Option<Hello>,
    answers: VecDeque<Vec<u8>>,
}

impl Requests {
    /// A connection to a server on which the token is good.
    pub fn new(agent: ureq::Agent, base: &str, token: &str) -> Requests {
        let (url, token) = (format!("{base}/sync"), token.to_owned());
        Requests { agent, url, token, hello: None, answers: VecDeque::new() }
    }

    /// Sends frames in one request and keeps the answers.
    ///
    /// # Errors
    /// There is no answer, or none of this protocol.
    pub fn send(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        let mut rest = Vec::new();
        for frame in frames {
            match decode_client_frame(&frame).context("our own frame")? {
                ClientFrame::Hello(hello) => self.hello = Some(hello),
                // The answer to a hello is the page after its cursor.
                ClientFrame::Pull(cursor) => self.hello_mut()?.cursor = Some(cursor),
                _ => rest.extend(frame),
            }
        }
        let mut body = encode(&ClientFrame::Hello(self.hello_mut()?.clone()));
        body.extend(rest);
        let request = self.agent.post(&self.url).header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.content_type("application/cbor-seq").send(&body)?;
        if answer.status() != 200 {
            bail!("the server answered {}", answer.status());
        }
        let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        self.take(&bytes)
    }

    /// The next answer.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        self.answers.pop_front()
    }

    fn hello_mut(&mut self) -> Result<&mut Hello> {
        self.hello.as_mut().context("a connection begins with a hello")
    }

    /// Cuts the answer into frames. What the next hello must say is read from them.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        for frame in frames_of(bytes)? {
            let hello = self.hello_mut()?;
            match decode_server_frame(&frame).context("the answer is of another protocol")? {
                ServerFrame::Welcome(welcome) => hello.incarnation = Some(welcome.incarnation),
                ServerFrame::Page(page) => hello.cursor = Some(page.cursor),
                _ => {}
            }
            // It was of the copy before this exchange.
            hello.digest = None;
            self.answers.push_back(frame);
        }
        Ok(())
    }
}

/// Cuts a CBOR sequence into its items.
///
/// # Errors
/// It is none.
pub fn frames_of(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let frames = cut_sequence(bytes).context("the answer is no sequence")?;
    Ok(frames.into_iter().map(<[u8]>::to_vec).collect())
}
