//! Keeps the resident memory of the process small.
//!
//! The GNU C library's `malloc` by itself takes ever larger blocks from its heaps instead of from the kernel, once such a
//! block was freed (`M_MMAP_THRESHOLD` in mallopt(3)), and its heaps hardly ever shrink: an import of reports took 68 MB for
//! what needs 40. With any other C library nothing happens.
//!
//! The program's own code stays resident once it ran, with what lies around it (the kernel maps 64 KB at once): the start
//! alone touches nearly all of it, and most is not needed again for days.

#[cfg(target_os = "linux")]
use std::{fs, ops::Range, sync::OnceLock};

#[cfg(target_os = "linux")]
use rustix::mm::{Advice, madvise};

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

/// Gives back to the kernel what the heaps do not use, and lets go of the program's code; what of it runs again is mapped
/// again, from the kernel's cache, a microsecond for 64 KB. For the end of work that took much.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) asks nothing of its caller; it takes the locks of all heaps.
    unsafe {
        libc::malloc_trim(0);
    }
    #[cfg(target_os = "linux")]
    for range in code() {
        // SAFETY: `code` are ranges of the executable file, mapped for reading only: nothing can be lost, for whoever reads
        // them next reads the file. That it could not be done does no harm.
        let _ = unsafe {
            madvise(std::ptr::without_provenance_mut(range.start), range.len(), Advice::LinuxDontNeed)
        };
    }
}

/// Where the code of the program lies: what the kernel mapped from its file to be run, and not to be written. Nothing where
/// that cannot be told, as in a program that was packed and has its code elsewhere.
#[cfg(target_os = "linux")]
fn code() -> &'static [Range<usize>] {
    static CODE: OnceLock<Vec<Range<usize>>> = OnceLock::new();
    CODE.get_or_init(|| {
        let (Ok(program), Ok(maps)) =
            (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/maps"))
        else {
            return Vec::new();
        };
        let program = program.to_string_lossy();
        maps.lines().filter_map(|line| code_at(line, &program)).collect()
    })
}

/// The range of a line of `/proc/self/maps` (proc_pid_maps(5)), if it is code of this program.
#[cfg(target_os = "linux")]
fn code_at(line: &str, program: &str) -> Option<Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let rest = rest.strip_prefix("r-xp ")?;
    rest.strip_suffix(program)?.ends_with(' ').then_some(())?;
    let (start, end) = range.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_this_program_is_let_go() {
        let line = |rights: &str, path: &str| {
            format!("55d0c000-55d0f000 {rights} 005f8000 fe:00 4711                      {path}")
        };
        let found = |rights, path| code_at(&line(rights, path), "/opt/a b/portal");
        assert_eq!(found("r-xp", "/opt/a b/portal"), Some(0x55d0_c000..0x55d0_f000));
        for (rights, path) in [
            ("r--p", "/opt/a b/portal"),
            ("rwxp", "/opt/a b/portal"),
            ("r-xs", "/opt/a b/portal"),
            ("r-xp", "/lib/opt/a b/portal"),
            ("r-xp", "/lib/libc.so.6"),
            ("r-xp", ""),
        ] {
            assert_eq!(found(rights, path), None, "{rights} {path}");
        }
    }

    #[test]
    fn code_that_does_not_run_is_not_resident() {
        use std::os::unix::fs::FileExt;
        let [code] = code() else { panic!("not found") };
        let memory = fs::File::open("/proc/self/mem").unwrap();
        let resident_of_code = || {
            let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
            let (_, own) = smaps.split_once(&format!("{:x}-{:x} r-xp", code.start, code.end)).unwrap();
            let (_, own) = own.split_once("\nRss:").unwrap();
            own.trim_start().split(' ').next().unwrap().parse::<usize>().unwrap() * 1024
        };
        let given_back = || {
            // Reading it makes it resident.
            let mut page = [0; 16];
            for at in code.clone().step_by(4096) {
                memory.read_exact_at(&mut page, at as u64).unwrap();
            }
            let before = resident_of_code();
            assert!(before > code.len() / 2, "{before}");
            give_back();
            before.saturating_sub(resident_of_code())
        };
        // Tests beside this one run code, too.
        let most = (0..5).map(|_| given_back()).max();
        assert!(most > Some(code.len() / 3), "{most:?} of {}", code.len());
    }

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
