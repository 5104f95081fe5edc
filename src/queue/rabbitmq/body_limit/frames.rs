//! Truncation of message bodies in a stream of AMQP frames.
//!
//! A content header that announces more than [`MOST_BODY`] bytes is changed to announce
//! [`MOST_BODY`], and body bytes beyond that are dropped. The body then ends with a note of its
//! original length ([`crate::queue::truncation`]). A frame of which nothing is left becomes a
//! heartbeat, so that the client knows that the broker is alive.
//!
//! The frames are those of AMQP 0-9-1, section 4.2: type, channel, length, content, end.

use std::collections::HashMap;

use crate::queue::truncation;

/// The longest body that passes, bytes: longer than any job, or any event, which names the image
/// twice.
pub(super) const MOST_BODY: u64 = 1 << 18;

const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, END];
const END: u8 = 0xCE;
/// Bytes before a frame's content.
const BEFORE: usize = 7;
/// Bytes of a content header's content up to the end of the body's length: class, weight, length.
const UP_TO_LENGTH: usize = 12;

/// The truncation of the bodies in a stream of frames.
#[derive(Debug, Default)]
pub(super) struct BodyTruncation {
    /// The start of the current frame, until enough of it has arrived to process it.
    start: Vec<u8>,
    /// The number of bytes of the current frame to pass on, and then to drop.
    pass: u64,
    drop: u64,
    /// What to write after these.
    after: Vec<u8>,
    /// The messages that are being truncated, by channel.
    truncated: HashMap<u16, Truncated>,
    /// The stream has no frames: the broker reports that it uses another protocol version.
    is_foreign: bool,
}

/// A message that is being truncated.
#[derive(Debug)]
struct Truncated {
    /// Bytes of its body that have not arrived yet.
    remaining: u64,
    /// Bytes of its body that are still passed on.
    kept: u64,
    /// The end of the truncated body.
    note: Vec<u8>,
}

impl BodyTruncation {
    /// Processes received `bytes`, and appends to `out` what the client is to read.
    pub(super) fn process(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.is_foreign {
                out.extend(bytes);
                return;
            }
            if self.pass > 0 {
                let (now, rest) = bytes
                    .split_at(bytes.len().min(usize::try_from(self.pass).unwrap_or(usize::MAX)));
                out.extend(now);
                self.pass -= now.len() as u64;
                bytes = rest;
            } else if self.drop > 0 {
                let (now, rest) = bytes
                    .split_at(bytes.len().min(usize::try_from(self.drop).unwrap_or(usize::MAX)));
                self.drop -= now.len() as u64;
                bytes = rest;
            } else {
                self.start.push(bytes[0]);
                bytes = &bytes[1..];
                self.start_frame(out);
            }
            if self.pass == 0 && self.drop == 0 {
                out.append(&mut self.after);
            }
        }
    }

    /// Processes the start of a frame, once enough of it has arrived.
    fn start_frame(&mut self, out: &mut Vec<u8>) {
        let &[kind, channel_high, channel_low, ref rest @ ..] = self.start.as_slice() else {
            self.is_foreign = self.start == [b'A'];
            if self.is_foreign {
                out.append(&mut self.start);
            }
            return;
        };
        let Some(length) =
            rest.first_chunk::<4>().map(|length| u64::from(u32::from_be_bytes(*length)))
        else {
            return;
        };
        let channel = u16::from_be_bytes([channel_high, channel_low]);
        match kind {
            HEADER if length >= UP_TO_LENGTH as u64 => {
                let Some(body) = self.start.get(BEFORE + 4..BEFORE + UP_TO_LENGTH) else { return };
                let body = body.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
                self.truncated.remove(&channel);
                if body > MOST_BODY {
                    self.start[BEFORE + 4..].copy_from_slice(&MOST_BODY.to_be_bytes());
                    let note = truncation::note(body);
                    self.truncated.insert(
                        channel,
                        Truncated { remaining: body, kept: MOST_BODY - note.len() as u64, note },
                    );
                }
                self.pass = length - UP_TO_LENGTH as u64 + 1;
                out.append(&mut self.start);
            }
            BODY if self.truncated.contains_key(&channel) => {
                self.start_truncated_body(channel, length, out)
            }
            _ => {
                self.pass = length + 1;
                out.append(&mut self.start);
            }
        }
    }

    /// Processes the start of a body frame of `length` bytes of a message that is being truncated.
    fn start_truncated_body(&mut self, channel: u16, length: u64, out: &mut Vec<u8>) {
        let Some(message) = self.truncated.get_mut(&channel) else { return };
        let kept = length.min(message.kept);
        message.kept -= kept;
        message.remaining = message.remaining.saturating_sub(length);
        // In its own frame, because the last frame may be full.
        let note = if message.kept == 0 { std::mem::take(&mut message.note) } else { Vec::new() };
        if message.remaining == 0 {
            self.truncated.remove(&channel);
        }
        if kept == 0 {
            out.extend(HEARTBEAT);
            self.drop = length + 1;
        } else {
            out.extend(&self.start[..3]);
            out.extend((kept as u32).to_be_bytes());
            (self.pass, self.drop) = (kept, length - kept + 1);
            self.after = vec![END];
        }
        if !note.is_empty() {
            self.after.extend(&self.start[..3]);
            self.after.extend((note.len() as u32).to_be_bytes());
            self.after.extend(note);
            self.after.push(END);
        }
        self.start.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, channel: u16, content: &[u8]) -> Vec<u8> {
        [
            &[kind][..],
            &channel.to_be_bytes(),
            &(content.len() as u32).to_be_bytes(),
            content,
            &[END],
        ]
        .concat()
    }

    fn message(channel: u16, body: &[u8], of_a_frame: usize) -> Vec<Vec<u8>> {
        let header = [
            &[0, 60, 0, 0][..],
            &(body.len() as u64).to_be_bytes(),
            &[0x80, 0, 3, b'a', b'/', b'b'],
        ]
        .concat();
        let bodies = body.chunks(of_a_frame).map(|part| frame(BODY, channel, part));
        [frame(1, channel, b"deliver"), frame(HEADER, channel, &header)]
            .into_iter()
            .chain(bodies)
            .collect()
    }

    /// What the client reads of `bytes`, which arrive in pieces of `piece` bytes.
    fn through(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut truncation, mut out) = (BodyTruncation::default(), Vec::new());
        bytes.chunks(piece).for_each(|piece| truncation.process(piece, &mut out));
        out
    }

    /// The body in `frames`, whose header and frames must agree on its length.
    fn body_of(mut frames: &[u8], channel: u16, longest: usize) -> Vec<u8> {
        let (mut announced, mut body) = (0, Vec::new());
        while !frames.is_empty() {
            let length = u32::from_be_bytes(*frames[3..].first_chunk().unwrap()) as usize;
            let content = &frames[BEFORE..BEFORE + length];
            assert_eq!(frames[BEFORE + length], END);
            assert!(length <= longest, "a frame is longer than agreed");
            match (frames[0], u16::from_be_bytes([frames[1], frames[2]])) {
                (HEADER, of) if of == channel => {
                    announced = u64::from_be_bytes(*content[4..].first_chunk().unwrap())
                }
                (BODY, of) if of == channel => body.extend(content),
                _ => {}
            }
            frames = &frames[BEFORE + length + 1..];
        }
        assert_eq!(announced, body.len() as u64);
        body
    }

    #[test]
    fn short_bodies_pass_unchanged() {
        let all = [
            message(1, &[7; 1000], 300).concat(),
            HEARTBEAT.to_vec(),
            message(2, &vec![8; MOST_BODY as usize], 50_000).concat(),
        ];
        for piece in [1, 7, 64, 1 << 20] {
            assert_eq!(through(&all.concat(), piece), all.concat());
        }
        // A broker of another version answers with its own header.
        assert_eq!(through(b"AMQP\x00\x00\x09\x01", 3), b"AMQP\x00\x00\x09\x01");
    }

    #[test]
    fn a_long_body_is_truncated_and_ends_with_its_original_length() {
        let long: Vec<u8> = (0..3 * MOST_BODY).map(|at| at as u8).collect();
        let frames = message(1, &long, 50_000);
        // Between two of its frames come those of another channel; after it, another message of its
        // own.
        let (mut mixed, other, next) =
            (frames.clone(), message(2, b"other", 3), message(1, b"next", 100));
        mixed.splice(3..3, other);
        for piece in [1, 1000, 1 << 20] {
            let out = through(&mixed.concat(), piece);
            let body = body_of(&out, 1, 50_000);
            assert_eq!(body.len() as u64, MOST_BODY);
            assert_eq!(truncation::original_length(&body), Some(long.len() as u64));
            assert_eq!(body[..1000], long[..1000]);
            assert_eq!(body_of(&out, 2, 50_000), b"other");
            assert!(out.ends_with(&HEARTBEAT));
            let both = through(&[mixed.concat(), next.concat()].concat(), piece);
            assert_eq!(both[out.len()..], next.concat());
        }
    }

    #[test]
    fn a_body_is_truncated_wherever_its_frames_end() {
        for more in [1, 30, 50, 100, 40_000] {
            let long = vec![1; (MOST_BODY + more) as usize];
            for of_a_frame in
                [4096, MOST_BODY as usize, MOST_BODY as usize - 20, MOST_BODY as usize + 10]
            {
                let body =
                    body_of(&through(&message(9, &long, of_a_frame).concat(), 999), 9, of_a_frame);
                assert_eq!(
                    (body.len() as u64, truncation::original_length(&body)),
                    (MOST_BODY, Some(MOST_BODY + more))
                );
            }
        }
    }
}
