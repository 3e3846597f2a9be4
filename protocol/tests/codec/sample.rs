//! Makes up valid messages from the schemas, with an encoder of its own.

use goatq_protocol::message::{CODECS, Codec};
use goatq_protocol::wire::{Field, Kind};

/// Which half of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Request,
    Response,
}

/// What a length counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    Elements,
    /// Bytes of a string.
    Text,
    Bytes,
    TaggedFields,
    /// Bytes of a tagged field.
    TagSize,
}

/// Where a length is in a sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) counts: Counts,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Inside of a tagged field, whose size limits it as well.
    pub(crate) in_tag: bool,
}

/// A message that was made up.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<Length>,
    flexible: bool,
    open_tags: u32,
    seed: u64,
}

/// Calls `check` with a sample of every version of every known message.
pub(crate) fn for_each(seed: u64, mut check: impl FnMut(&Codec, Half, i16, Sample)) {
    for codec in CODECS {
        for version in codec.versions.iter() {
            check(codec, Half::Request, version, Sample::new(codec, Half::Request, version, seed));
            check(codec, Half::Response, version, Sample::new(codec, Half::Response, version, seed));
        }
    }
}

/// Decodes and encodes with our codec; panics when that fails.
pub(crate) fn recode(codec: &Codec, half: Half, version: i16, bytes: &[u8]) -> Vec<u8> {
    let outcome = try_recode(codec, half, version, bytes.to_vec());
    let encoded = outcome.unwrap_or_else(|error| panic!("{} {half:?} {version}: {error}", codec.key));
    encoded.expect("what was decoded can be encoded").to_vec()
}

/// Decodes and encodes with our codec.
pub(crate) fn try_recode(
    codec: &Codec,
    half: Half,
    version: i16,
    bytes: Vec<u8>,
) -> Result<Result<bytes::Bytes, goatq_protocol::wire::EncodeError>, goatq_protocol::wire::DecodeError> {
    let recode = match half {
        Half::Request => codec.recode_request,
        Half::Response => codec.recode_response,
    };
    recode(bytes.into(), version)
}

impl Sample {
    /// A body of the message; equal arguments give equal bytes.
    pub(crate) fn new(codec: &Codec, half: Half, version: i16, seed: u64) -> Self {
        let fields = match half {
            Half::Request => codec.request,
            Half::Response => codec.response,
        };
        let flexible = codec.flexible_from.is_some_and(|from| version >= from);
        let salt = (u64::from(codec.key.code() as u16) << 32) | (u64::from(version as u16) << 1) | half as u64;
        let mut sample = Self { flexible, seed: seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..Self::default() };
        sample.structure(fields, version);
        sample
    }

    /// A sample of a message that belongs to no API.
    pub(crate) fn of_fields(fields: &[Field], flexible: bool, version: i16, seed: u64) -> Self {
        let mut sample = Self { flexible, seed, ..Self::default() };
        sample.structure(fields, version);
        sample
    }

    /// splitmix64
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random() % end
    }

    fn structure(&mut self, fields: &[Field], version: i16) {
        for field in fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version)) {
            let nullable = field.nullable.contains(version);
            if nullable && self.below(4) == 0 {
                self.null(&field.kind);
            } else {
                if nullable && matches!(field.kind, Kind::Struct(_)) {
                    self.bytes.push(1);
                }
                self.value(&field.kind, version, 0);
            }
        }
        if !self.flexible {
            return;
        }
        let mut tagged: Vec<&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
        tagged.retain(|field| field.versions.contains(version) && self.below(4) != 0);
        self.length(Counts::TaggedFields, tagged.len());
        for field in tagged {
            self.uvarint(field.tag.expect("only tagged fields are left"));
            self.tagged_value(field, version);
        }
    }

    /// A tagged field never has its default, with which it would not be written.
    fn tagged_value(&mut self, field: &Field, version: i16) {
        let mut inner = Self { flexible: true, seed: self.random(), open_tags: 1, ..Self::default() };
        inner.value(&field.kind, version, 1);
        self.length(Counts::TagSize, inner.bytes.len());
        let base = self.bytes.len();
        self.bytes.extend(inner.bytes);
        self.lengths.extend(inner.lengths.into_iter().map(|length| Length {
            start: length.start + base,
            end: length.end + base,
            in_tag: true,
            ..length
        }));
    }

    fn null(&mut self, kind: &Kind) {
        match kind {
            Kind::Struct(_) => self.bytes.push(0xff),
            _ if self.flexible => self.bytes.push(0),
            Kind::String => self.bytes.extend((-1i16).to_be_bytes()),
            _ => self.bytes.extend((-1i32).to_be_bytes()),
        }
    }

    /// Numbers are small and positive, so that none of them is a default.
    fn value(&mut self, kind: &Kind, version: i16, least: u64) {
        let number = 1 + self.below(100);
        match kind {
            Kind::Bool => self.bytes.push(if least > 0 || number > 50 { 1 } else { 0 }),
            Kind::Int8 => self.bytes.push(number as u8),
            Kind::Int16 | Kind::Uint16 => self.bytes.extend((number as u16).to_be_bytes()),
            Kind::Int32 | Kind::Uint32 => self.bytes.extend((number as u32).to_be_bytes()),
            Kind::Int64 => self.bytes.extend(number.to_be_bytes()),
            Kind::Float64 => self.bytes.extend((number as f64).to_be_bytes()),
            Kind::Uuid => {
                for _ in 0..2 {
                    let half = self.random();
                    self.bytes.extend(half.to_be_bytes());
                }
            }
            Kind::String => {
                let text: String = "grüße, Kafka!".chars().cycle().take((number % 20 + least) as usize).collect();
                self.length(Counts::Text, text.len());
                self.bytes.extend(text.bytes());
            }
            Kind::Bytes | Kind::Records => {
                // Now and then long enough not to be copied when it is written.
                let length = if number > 90 { 1500 } else { number + least } as usize;
                self.length(Counts::Bytes, length);
                self.bytes.extend((0..length).map(|index| index as u8));
            }
            Kind::Struct(fields) => self.structure(fields, version),
            Kind::Array(element) => {
                let count = number % 4 + least;
                self.length(Counts::Elements, count as usize);
                for _ in 0..count {
                    self.value(element, version, 0);
                }
            }
        }
    }

    fn length(&mut self, counts: Counts, length: usize) {
        let start = self.bytes.len();
        match counts {
            Counts::TaggedFields | Counts::TagSize => self.uvarint(length as u32),
            _ if self.flexible => self.uvarint(length as u32 + 1),
            Counts::Text => self.bytes.extend((length as i16).to_be_bytes()),
            _ => self.bytes.extend((length as i32).to_be_bytes()),
        }
        self.lengths.push(Length { counts, start, end: self.bytes.len(), in_tag: self.open_tags > 0 });
    }

    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Whether lengths are compact.
    pub(crate) fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// The sample with other bytes in place of a length.
    pub(crate) fn with_length(&self, length: Length, replacement: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes[..length.start].to_vec();
        bytes.extend(replacement);
        bytes.extend(&self.bytes[length.end..]);
        bytes
    }
}
