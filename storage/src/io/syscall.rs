//! System calls that have no safe wrapper.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Number of `cachestat`, the same on all architectures that Rust has with a unified table (Linux 6.5).
const CACHESTAT: libc::c_long = 451;

/// The kernel's `struct cachestat_range`.
#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

/// The kernel's `struct cachestat`.
#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many pages of a range of a file are in the page cache, those included that are just being read. An error where the
/// kernel does not say: an old one, or a container that forbids the call. `len` is at least 1.
#[expect(unsafe_code, reason = "rustix has no cachestat")]
pub(super) fn cached_pages(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<u64> {
    let range = CachestatRange { offset, len };
    let mut stat = Cachestat::default();
    let flags: libc::c_uint = 0;
    // SAFETY: the kernel reads `range` and writes `stat`, which are live, aligned and laid out as it declares them, and the
    // descriptor is open for the time of the borrow.
    let result = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, flags) };
    if result == 0 { Ok(stat.cached) } else { Err(io::Error::last_os_error()) }
}

/// Appends up to `len` bytes of a file to `buffer`, only what is in memory (`RWF_NOWAIT`). How many; 0 at the end of the file.
#[expect(
    unsafe_code,
    reason = "rustix reads with flags into initialised memory only, and clearing it costs as much as a copy"
)]
pub(super) fn append_cached(file: BorrowedFd<'_>, buffer: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<usize> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    buffer.reserve(len);
    let room = &mut buffer.spare_capacity_mut()[..len];
    let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: len };
    // SAFETY: the one slice named is the spare room of `buffer`, of at least `len` bytes, exclusively borrowed; the
    // descriptor is open for the time of the borrow.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, offset, libc::RWF_NOWAIT) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled so many bytes behind the old length, at most `len`, which `reserve` made room for.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd};

    use super::*;

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
        file.write_all(&content).unwrap();
        let mut buffer = b"before".to_vec();
        // File systems without RWF_NOWAIT (tmpfs has it since 6.0) refuse.
        match append_cached(file.as_fd(), &mut buffer, 1_000, 50_000) {
            Ok(read) => assert_eq!(buffer, [b"before", &content[1_000..1_000 + read]].concat()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
        if let Ok(pages) = cached_pages(file.as_fd(), 0, 100_000) {
            assert_eq!(pages, 100_000_u64.div_ceil(rustix::param::page_size() as u64));
        }
    }
}
