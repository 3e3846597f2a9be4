//! Puts a message together.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::reader::Scalar;
use super::{EncodeError, MAX_STRING, Message, Records, Versioned};
use crate::Uuid;

/// Byte fields and pieces of record sets from this length on are referred to instead of copied: below it, one more
/// entry in a vectored write costs more than the copy.
const SPLICE_FROM: usize = 1024;

/// Collects a message. Small parts go into one buffer; large payloads are put between its parts by reference.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    /// Payloads, each with the position in the buffer that it comes before.
    spliced: Vec<(usize, Part)>,
    spliced_len: usize,
    flexible: bool,
    /// How many tagged fields are being written; their size must precede them, so that nothing is spliced inside.
    open_tags: u32,
}

/// A piece of a finished message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Bytes(Bytes),
    /// So many bytes, at least one, that the sender has elsewhere ([`Records::elsewhere`]).
    Elsewhere(usize),
}

/// A tagged field that has been begun.
#[derive(Debug)]
#[must_use]
pub struct TagMark {
    start: usize,
}

type Result<T = ()> = std::result::Result<T, EncodeError>;

impl Writer {
    /// An empty writer for a message that is not flexible.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether compact lengths and tagged fields are written.
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Chooses whether compact lengths and tagged fields are written from here on.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Appends a whole message.
    ///
    /// # Errors
    /// When the message has no such version or cannot be written.
    pub fn message<M: Versioned>(&mut self, message: &M, version: i16) -> Result {
        if !M::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        self.flexible = M::is_flexible(version);
        message.encode(self, version)
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_add(self.spliced_len)
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Overwrites four bytes of the first part, which must have been written before any payload.
    pub(crate) fn patch_prefix(&mut self, value: [u8; 4]) {
        if let Some(prefix) = self.buffer.first_chunk_mut::<4>() {
            *prefix = value;
        }
    }

    /// All that was written, in order, for one vectored write.
    pub fn finish_parts(self) -> Vec<Part> {
        let mut rest = self.buffer.freeze();
        let mut parts = Vec::with_capacity(2 * self.spliced.len() + 1);
        let mut taken = 0;
        for (position, payload) in self.spliced {
            let part = rest.split_to(position - taken);
            taken = position;
            if !part.is_empty() {
                parts.push(Part::Bytes(part));
            }
            parts.push(payload);
        }
        if !rest.is_empty() {
            parts.push(Part::Bytes(rest));
        }
        parts
    }

    /// The same, for a message of which no part is elsewhere.
    ///
    /// # Errors
    /// When one is.
    pub fn finish(self) -> Result<Vec<Bytes>> {
        let parts = self.finish_parts().into_iter().map(|part| match part {
            Part::Bytes(bytes) => Ok(bytes),
            Part::Elsewhere(len) => Err(EncodeError::Elsewhere(len)),
        });
        parts.collect()
    }

    /// All that was written, in one piece; copies when payloads were spliced in.
    ///
    /// # Errors
    /// When a part is elsewhere.
    pub fn into_bytes(self) -> Result<Bytes> {
        Ok(self.finish()?.into_iter().collect::<Records>().into_bytes())
    }

    /// One byte.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(value.into());
    }

    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Eight bytes.
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.0);
    }

    /// One to five bytes, seven bits in each, lowest first.
    pub fn uvarint(&mut self, value: u32) {
        let (bytes, length) = uvarint_bytes(value);
        self.buffer.put_slice(&bytes[..length]);
    }

    /// A length of four bytes, or a compact one.
    fn long_length(&mut self, length: usize) -> Result {
        match i32::try_from(length) {
            Ok(plain) if plain < i32::MAX => {
                if self.flexible {
                    self.uvarint(plain as u32 + 1);
                } else {
                    self.i32(plain);
                }
                Ok(())
            }
            _ => Err(EncodeError::TooLong(length)),
        }
    }

    fn long_null(&mut self) {
        if self.flexible { self.uvarint(0) } else { self.i32(-1) }
    }

    fn text(&mut self, text: &str) -> Result {
        let length = text.len();
        if length > MAX_STRING {
            return Err(EncodeError::StringTooLong(length));
        }
        if self.flexible {
            self.uvarint(length as u32 + 1);
        } else {
            self.i16(length as i16);
        }
        self.buffer.put_slice(text.as_bytes());
        Ok(())
    }

    /// A string.
    pub fn string(&mut self, value: &ByteString) -> Result {
        self.text(value)
    }

    /// A string or null; null becomes the empty string unless `nullable`.
    pub fn opt_string(&mut self, value: Option<&ByteString>, nullable: bool) -> Result {
        match value {
            None if nullable && self.flexible => self.uvarint(0),
            None if nullable => self.i16(-1),
            None => return self.text(""),
            Some(value) => return self.text(value),
        }
        Ok(())
    }

    /// A nullable string of the older form, whatever the message is: the client id of request headers.
    pub(crate) fn plain_opt_string(&mut self, value: Option<&str>) -> Result {
        let flexible = std::mem::replace(&mut self.flexible, false);
        let written = match value {
            Some(value) => self.text(value),
            None => {
                self.i16(-1);
                Ok(())
            }
        };
        self.flexible = flexible;
        written
    }

    fn payload(&mut self, payload: &Bytes) {
        if payload.len() < SPLICE_FROM || self.open_tags > 0 {
            self.buffer.put_slice(payload);
        } else {
            self.spliced_len = self.spliced_len.saturating_add(payload.len());
            self.spliced.push((self.buffer.len(), Part::Bytes(payload.clone())));
        }
    }

    fn payload_elsewhere(&mut self, len: usize) -> Result {
        match len {
            0 => Ok(()),
            // Its size would have to be known before it is written; no schema has records there.
            _ if self.open_tags > 0 => Err(EncodeError::Elsewhere(len)),
            _ => {
                self.spliced_len = self.spliced_len.saturating_add(len);
                self.spliced.push((self.buffer.len(), Part::Elsewhere(len)));
                Ok(())
            }
        }
    }

    /// Bytes; long ones are not copied.
    pub fn bytes(&mut self, value: &Bytes) -> Result {
        self.long_length(value.len())?;
        self.payload(value);
        Ok(())
    }

    /// Bytes or null; null becomes empty unless `nullable`.
    pub fn opt_bytes(&mut self, value: Option<&Bytes>, nullable: bool) -> Result {
        match value {
            Some(value) => self.bytes(value),
            None => self.null_or_empty(nullable),
        }
    }

    /// A record set; its longer pieces are not copied.
    pub fn records(&mut self, value: &Records) -> Result {
        self.long_length(value.len())?;
        for chunk in value.chunks() {
            self.payload(chunk);
        }
        self.payload_elsewhere(value.len_elsewhere())
    }

    /// A record set or null; null becomes empty unless `nullable`.
    pub fn opt_records(&mut self, value: Option<&Records>, nullable: bool) -> Result {
        match value {
            Some(value) => self.records(value),
            None => self.null_or_empty(nullable),
        }
    }

    fn null_or_empty(&mut self, nullable: bool) -> Result {
        if nullable {
            self.long_null();
            return Ok(());
        }
        self.long_length(0)
    }

    /// A struct behind a byte that is negative for null.
    pub fn opt_struct<T: Message>(&mut self, value: Option<&T>, version: i16) -> Result {
        match value {
            Some(value) => {
                self.i8(1);
                value.encode(self, version)
            }
            None => {
                self.i8(-1);
                Ok(())
            }
        }
    }

    /// An array of structs.
    pub fn array<T: Message>(&mut self, elements: &[T], version: i16) -> Result {
        self.long_length(elements.len())?;
        for element in elements {
            element.encode(self, version)?;
        }
        Ok(())
    }

    /// An array of structs or null; null becomes empty unless `nullable`.
    pub fn opt_array<T: Message>(&mut self, elements: Option<&[T]>, nullable: bool, version: i16) -> Result {
        match elements {
            Some(elements) => self.array(elements, version),
            None => self.null_or_empty(nullable),
        }
    }

    /// An array of scalars.
    pub fn list<T: Scalar>(&mut self, elements: &[T]) -> Result {
        self.long_length(elements.len())?;
        for element in elements {
            element.write(self)?;
        }
        Ok(())
    }

    /// An array of scalars or null; null becomes empty unless `nullable`.
    pub fn opt_list<T: Scalar>(&mut self, elements: Option<&[T]>, nullable: bool) -> Result {
        match elements {
            Some(elements) => self.list(elements),
            None => self.null_or_empty(nullable),
        }
    }

    /// Ends a struct that has no tagged fields to write; nothing unless flexible.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.uvarint(0);
        }
    }

    /// Begins a tagged field; its value is written next, then [`end_tag`](Self::end_tag) is called.
    pub fn begin_tag(&mut self, id: u32) -> TagMark {
        self.uvarint(id);
        self.open_tags += 1;
        TagMark { start: self.buffer.len() }
    }

    /// Ends a tagged field: puts its size in front of it.
    pub fn end_tag(&mut self, mark: TagMark) -> Result {
        self.open_tags -= 1;
        let size = self.buffer.len() - mark.start;
        let fitting = u32::try_from(size).map_err(|_| EncodeError::TooLong(size))?;
        let (prefix, length) = uvarint_bytes(fitting);
        self.buffer.put_bytes(0, length);
        self.buffer.copy_within(mark.start..mark.start + size, mark.start + length);
        self.buffer[mark.start..mark.start + length].copy_from_slice(&prefix[..length]);
        Ok(())
    }
}

fn uvarint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes[length] = if value == 0 { low } else { low | 0x80 };
        length += 1;
        if value == 0 {
            return (bytes, length);
        }
    }
}
