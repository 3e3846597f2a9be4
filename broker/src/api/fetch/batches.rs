//! Walking over batches that are cut into chunks anywhere.

use bytes::Bytes;
use goatq_protocol::record::{BATCH_HEADER_LEN, BatchHeader};

struct Chunks<'a> {
    rest: std::slice::Iter<'a, Bytes>,
    current: &'a [u8],
}

impl Chunks<'_> {
    /// Fills `out`; false when there is not enough.
    fn read(&mut self, mut out: &mut [u8]) -> bool {
        while !out.is_empty() {
            if self.current.is_empty() && !self.next() {
                return false;
            }
            let len = out.len().min(self.current.len());
            let (now, later) = out.split_at_mut(len);
            let (taken, rest) = self.current.split_at(len);
            now.copy_from_slice(taken);
            (out, self.current) = (later, rest);
        }
        true
    }

    /// Passes over `len` bytes; false when there are not so many.
    fn skip(&mut self, mut len: usize) -> bool {
        while len > self.current.len() {
            len -= self.current.len();
            if !self.next() {
                return false;
            }
        }
        self.current = &self.current[len..];
        true
    }

    fn next(&mut self) -> bool {
        match self.rest.next() {
            Some(chunk) => {
                self.current = chunk;
                true
            }
            None => false,
        }
    }
}

/// The offset behind the last of these batches.
pub(super) fn end_of(chunks: &[Bytes]) -> Option<i64> {
    let mut chunks = Chunks { rest: chunks.iter(), current: &[] };
    let mut end = None;
    let mut head = [0; BATCH_HEADER_LEN];
    while chunks.read(&mut head) {
        let Ok(header) = BatchHeader::parse(&head) else { break };
        end = Some(header.next_offset());
        if !chunks.skip(header.size() - BATCH_HEADER_LEN) {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
    use proptest::prelude::*;

    use super::*;

    fn batches(sizes: &[usize]) -> (Vec<u8>, i64) {
        let (mut bytes, mut offset) = (Vec::new(), 0);
        for size in sizes {
            let mut builder = BatchBuilder::new(BatchOptions { base_offset: offset, ..BatchOptions::default() });
            for _ in 0..3 {
                let value = vec![7; *size];
                let record = NewRecord { timestamp: 1, key: None, value: Some(&value), headers: &[] };
                builder.push(record).expect("fits");
                offset += 1;
            }
            bytes.extend_from_slice(&builder.build().expect("valid"));
        }
        (bytes, offset)
    }

    #[test]
    fn nothing_has_no_end() {
        assert_eq!(end_of(&[]), None);
        assert_eq!(end_of(&[Bytes::from_static(b"short")]), None);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            sizes in prop::collection::vec(0_usize..200, 1..5),
            cuts in prop::collection::vec(0_usize..150, 1..20),
        ) {
            let (bytes, end) = batches(&sizes);
            let mut rest = Bytes::from(bytes);
            let mut chunks = Vec::new();
            for cut in cuts {
                chunks.push(rest.split_to(cut.min(rest.len())));
            }
            chunks.push(rest);
            prop_assert_eq!(end_of(&chunks), Some(end));
        }
    }
}
