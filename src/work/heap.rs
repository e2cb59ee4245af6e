//! Keeps the memory of the GNU C library's `malloc` small; with any other C library nothing happens.
//!
//! By itself it takes ever larger blocks from its heaps instead of from the kernel, once such a block was freed
//! (`M_MMAP_THRESHOLD` in mallopt(3)), and its heaps hardly ever shrink: an import of reports took 68 MB for what needs 40.

/// Blocks from this size on are the kernel's: they are given back when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: libc::c_int = 256 * 1024;

/// Sets the limit from which on blocks are the kernel's. To be called once, at the begin.
pub fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt(3) asks nothing of its caller, and takes a number that it may refuse.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
    }
}

/// Gives what the heaps do not use back to the kernel: some milliseconds after work that took much.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) asks nothing of its caller; it takes the locks of all heaps.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn what_is_freed_goes_back_to_the_kernel() {
        let given_back = || {
            // Of pieces that lie between used ones nothing goes back by itself.
            let mut pieces: Vec<Vec<u8>> = (0..30_000).map(|_| vec![7; 4000]).collect();
            let used: Vec<Vec<u8>> = pieces.iter_mut().step_by(10).map(std::mem::take).collect();
            drop(pieces);
            let before = resident();
            give_back();
            let after = resident();
            assert!(used.iter().flatten().all(|byte| *byte == 7));
            before.saturating_sub(after)
        };
        // Tests beside this one may take as much at the same moment.
        let most = (0..5).map(|_| given_back()).max();
        assert!(most > Some(50_000_000), "{most:?}");
    }
}
