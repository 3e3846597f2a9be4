//! Takes a message apart.

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    DECODED_FACTOR, DECODED_FLOOR, DecodeError, INITIAL_CAPACITY, MAX_ELEMENTS, MAX_STRING, MAX_TAGS, Message, Records,
};
use crate::Uuid;

/// A position in a frame. Every method either advances past a value or fails; after a failure the position is anywhere.
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    /// Where reading ends: the end of the frame, or of the tagged field that is being read.
    end: usize,
    flexible: bool,
    /// Bytes that arrays may still occupy once decoded.
    budget: usize,
}

/// The tagged fields of one struct that are still to be read.
#[derive(Debug)]
pub struct Tags {
    left: u32,
}

/// A tagged field whose content comes next.
#[derive(Debug)]
pub struct Tag {
    /// Its number.
    pub id: u32,
    outer_end: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl Reader {
    /// Starts at the beginning of `frame`. `flexible` selects compact lengths and tagged fields.
    pub fn new(frame: Bytes, flexible: bool) -> Self {
        let end = frame.len();
        let budget = DECODED_FLOOR.saturating_add(DECODED_FACTOR.saturating_mul(end));
        Self { frame, position: 0, end, flexible, budget }
    }

    /// Whether compact lengths and tagged fields are expected.
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Chooses whether compact lengths and tagged fields are expected from here on.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// What has not been read yet.
    pub fn rest(&self) -> Bytes {
        self.frame.slice(self.position..self.end)
    }

    fn advance(&mut self, length: usize) -> Result<usize> {
        let left = self.remaining();
        if length > left {
            return Err(DecodeError::Truncated { wanted: length, left });
        }
        let start = self.position;
        self.position += length;
        Ok(start)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let start = self.advance(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.frame[start..start + N]);
        Ok(bytes)
    }

    fn slice(&mut self, length: usize) -> Result<Bytes> {
        let start = self.advance(length)?;
        Ok(self.frame.slice(start..start + length))
    }

    /// One byte; anything but zero is true.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    pub fn i8(&mut self) -> Result<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Eight bytes.
    pub fn f64(&mut self) -> Result<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.fixed().map(Uuid)
    }

    /// One to five bytes, seven bits in each, lowest first.
    pub fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length as it is on the wire: anything negative is null. As Kafka, which computes with 32 signed bits: a compact
    /// length of 2^32-1 is -2, and null as well.
    fn length(length: i32) -> Option<usize> {
        usize::try_from(length).ok()
    }

    /// A compact length (plus one, zero for null).
    fn compact_length(&mut self) -> Result<Option<usize>> {
        Ok(Self::length(self.uvarint()?.cast_signed().wrapping_sub(1)))
    }

    fn long_length(&mut self) -> Result<Option<usize>> {
        if self.flexible { self.compact_length() } else { Ok(Self::length(self.i32()?)) }
    }

    fn string_slice(&mut self) -> Result<Option<Bytes>> {
        let length = if self.flexible { self.compact_length()? } else { Self::length(self.i16()?.into()) };
        match length {
            None => Ok(None),
            Some(length) if length > MAX_STRING => Err(DecodeError::StringTooLong(length)),
            Some(length) => self.slice(length).map(Some),
        }
    }

    /// A string; a slice of the frame.
    pub fn string(&mut self) -> Result<ByteString> {
        let slice = self.string_slice()?.ok_or(DecodeError::UnexpectedNull)?;
        ByteString::try_from(slice).map_err(|_| DecodeError::NotUtf8)
    }

    /// A string or, where `nullable`, null.
    pub fn opt_string(&mut self, nullable: bool) -> Result<Option<ByteString>> {
        match self.string_slice()? {
            Some(slice) => ByteString::try_from(slice).map(Some).map_err(|_| DecodeError::NotUtf8),
            None => null(nullable),
        }
    }

    /// A nullable string of the older form, in which bytes that are not UTF-8 are replaced. For client ids: they only name
    /// things, and Kafka accepts any.
    pub fn lossy_string(&mut self) -> Result<Option<ByteString>> {
        let Some(length) = Self::length(self.i16()?.into()) else { return Ok(None) };
        let slice = self.slice(length)?;
        Ok(Some(match ByteString::try_from(slice.clone()) {
            Ok(text) => text,
            Err(_) => String::from_utf8_lossy(&slice).into_owned().into(),
        }))
    }

    /// Bytes; a slice of the frame.
    pub fn bytes(&mut self) -> Result<Bytes> {
        let length = self.long_length()?.ok_or(DecodeError::UnexpectedNull)?;
        self.slice(length)
    }

    /// Bytes or, where `nullable`, null.
    pub fn opt_bytes(&mut self, nullable: bool) -> Result<Option<Bytes>> {
        match self.long_length()? {
            Some(length) => self.slice(length).map(Some),
            None => null(nullable),
        }
    }

    /// A record set; a slice of the frame.
    pub fn records(&mut self) -> Result<Records> {
        self.bytes().map(Records::from)
    }

    /// A record set or, where `nullable`, null.
    pub fn opt_records(&mut self, nullable: bool) -> Result<Option<Records>> {
        Ok(self.opt_bytes(nullable)?.map(Records::from))
    }

    /// A struct behind a byte that is negative for null.
    pub fn opt_struct<T: Message>(&mut self, version: i16) -> Result<Option<T>> {
        if self.i8()? < 0 { Ok(None) } else { T::decode(self, version).map(Some) }
    }

    /// The length of an array of elements that occupy `element` bytes each once decoded. Nothing has been allocated yet
    /// when this refuses.
    fn array_length(&mut self, element: usize) -> Result<Option<usize>> {
        let Some(length) = self.long_length()? else { return Ok(None) };
        if length > MAX_ELEMENTS {
            return Err(DecodeError::TooManyElements(length));
        }
        let left = self.remaining();
        if length > left {
            return Err(DecodeError::Truncated { wanted: length, left });
        }
        let cost = length.saturating_mul(element);
        self.budget = self.budget.checked_sub(cost).ok_or(DecodeError::DecodedTooLarge)?;
        Ok(Some(length))
    }

    /// An array of structs.
    pub fn array<T: Message>(&mut self, version: i16) -> Result<Vec<T>> {
        self.opt_array(false, version).map(Option::unwrap_or_default)
    }

    /// An array of structs or, where `nullable`, null.
    pub fn opt_array<T: Message>(&mut self, nullable: bool, version: i16) -> Result<Option<Vec<T>>> {
        let Some(length) = self.array_length(size_of::<T>())? else { return null(nullable) };
        let mut elements = Vec::with_capacity(length.min(INITIAL_CAPACITY));
        for _ in 0..length {
            elements.push(T::decode(self, version)?);
        }
        Ok(Some(elements))
    }

    /// An array of scalars.
    pub fn list<T: Scalar>(&mut self) -> Result<Vec<T>> {
        self.opt_list(false).map(Option::unwrap_or_default)
    }

    /// An array of scalars or, where `nullable`, null.
    pub fn opt_list<T: Scalar>(&mut self, nullable: bool) -> Result<Option<Vec<T>>> {
        let Some(length) = self.array_length(size_of::<T>())? else { return null(nullable) };
        let mut elements = Vec::with_capacity(length.min(INITIAL_CAPACITY));
        for _ in 0..length {
            elements.push(T::read(self)?);
        }
        Ok(Some(elements))
    }

    /// How many tagged fields end the struct; none unless flexible.
    pub fn tags(&mut self) -> Result<Tags> {
        let left = if self.flexible { self.uvarint()? } else { 0 };
        if left > MAX_TAGS {
            return Err(DecodeError::TooManyTags(left));
        }
        Ok(Tags { left })
    }

    /// Enters the next tagged field: until [`end_tag`](Self::end_tag) nothing beyond it can be read.
    pub fn next_tag(&mut self, tags: &mut Tags) -> Result<Option<Tag>> {
        if tags.left == 0 {
            return Ok(None);
        }
        tags.left -= 1;
        let id = self.uvarint()?;
        let size = self.uvarint()? as usize;
        let left = self.remaining();
        if size > left {
            return Err(DecodeError::Truncated { wanted: size, left });
        }
        let outer_end = std::mem::replace(&mut self.end, self.position + size);
        Ok(Some(Tag { id, outer_end }))
    }

    /// Passes over the content of a tagged field.
    pub fn skip_tag(&mut self, _tag: &Tag) {
        self.position = self.end;
    }

    /// Leaves a tagged field, all of which must have been read.
    pub fn end_tag(&mut self, tag: Tag) -> Result<()> {
        let unread = self.remaining();
        if unread > 0 {
            return Err(DecodeError::TagSize { tag: tag.id, unread });
        }
        self.end = tag.outer_end;
        Ok(())
    }

    /// Passes over all tagged fields of a struct that knows none.
    pub fn skip_tags(&mut self) -> Result<()> {
        let mut tags = self.tags()?;
        while let Some(tag) = self.next_tag(&mut tags)? {
            self.skip_tag(&tag);
            self.end_tag(tag)?;
        }
        Ok(())
    }
}

fn null<T>(nullable: bool) -> Result<Option<T>> {
    if nullable { Ok(None) } else { Err(DecodeError::UnexpectedNull) }
}

/// An element type of [`Reader::list`] and [`Writer::list`](super::Writer::list).
pub trait Scalar: Sized {
    /// Reads one element.
    ///
    /// # Errors
    /// As the reader's method for the type.
    fn read(r: &mut Reader) -> Result<Self>;

    /// Appends one element.
    ///
    /// # Errors
    /// As the writer's method for the type.
    fn write(&self, w: &mut super::Writer) -> std::result::Result<(), super::EncodeError>;
}

macro_rules! numbers {
    ($($ty:ty: $method:ident),*) => {$(
        impl Scalar for $ty {
            fn read(r: &mut Reader) -> Result<Self> {
                r.$method()
            }

            fn write(&self, w: &mut super::Writer) -> std::result::Result<(), super::EncodeError> {
                w.$method(*self);
                Ok(())
            }
        }
    )*};
}

numbers!(i8: i8, i16: i16, i32: i32, i64: i64, Uuid: uuid);

impl Scalar for ByteString {
    fn read(r: &mut Reader) -> Result<Self> {
        r.string()
    }

    fn write(&self, w: &mut super::Writer) -> std::result::Result<(), super::EncodeError> {
        w.string(self)
    }
}
