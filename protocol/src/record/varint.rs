use super::RecordFault;
use super::parse::Fault;

/// Most bytes of a 32-bit varint.
const MAX_VARINT_LEN: u32 = 5;
/// Most bytes of a 64-bit varint.
const MAX_VARLONG_LEN: u32 = 10;

/// Reads a zigzag varint of at most 32 bits from bytes that `next` gives.
pub(super) fn read_varint(next: impl FnMut() -> Result<u8, Fault>) -> Result<i32, Fault> {
    let raw = read_unsigned(next, MAX_VARINT_LEN)?;
    let raw = u32::try_from(raw).map_err(|_| RecordFault::Varint)?;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads a zigzag varint of at most 64 bits.
pub(super) fn read_varlong(next: impl FnMut() -> Result<u8, Fault>) -> Result<i64, Fault> {
    let raw = read_unsigned(next, MAX_VARLONG_LEN)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn read_unsigned(mut next: impl FnMut() -> Result<u8, Fault>, max_len: u32) -> Result<u64, Fault> {
    let mut value = 0_u64;
    for index in 0..max_len {
        let byte = next()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index == MAX_VARLONG_LEN - 1 && bits > 1 {
            break;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(RecordFault::Varint.into())
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// A sign-extended 32-bit value has the same zigzag bytes as a 64-bit one.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that `value` takes as a varint.
pub(super) fn varlong_len(value: i64) -> usize {
    let bits = (64 - zigzag(value).leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
