//! Files below `/proc` and their kin (proc(5)), as text. Every field that cannot be read is left out.

/// The load averages of 1, 5 and 15 minutes (`/proc/loadavg`).
pub fn load(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

/// A field of `/proc/meminfo` in bytes.
pub fn memory(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

/// Busy and all ticks of each core (`/proc/stat`), by number.
pub fn cores(text: &str) -> Vec<(String, [u64; 2])> {
    let core = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let name = words.next()?;
        // `cpu  …` is the sum of all.
        if line.starts_with("cpu ") {
            return None;
        }
        // Guest time is in user time already.
        let ticks: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let all: u64 = ticks.iter().sum();
        Some((name.to_owned(), [all - idle, all]))
    };
    text.lines().filter_map(core).collect()
}

/// A process (`/proc/PID/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process<'a> {
    /// The name that it gave itself: no arguments, but else anything.
    pub name: &'a str,
    /// The letter of its state.
    pub state: char,
    /// Processor time so far, in ticks.
    pub ticks: u64,
    /// Pages of memory that it holds.
    pub pages: u64,
}

/// Reads a process. Its name may hold anything, also parentheses.
pub fn process(text: &str) -> Option<Process<'_>> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The state is field 3 of proc(5).
    let number = |field: usize| fields.get(field - 3).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let state = fields.first()?.chars().next()?;
    Some(Process { name, state, ticks: number(14) + number(15), pages: number(24) })
}

/// Bytes of a page of memory (`/proc/self/auxv`: pairs of words, the one of kind 6 among them; getauxval(3)).
pub fn page_size(auxv: &[u8]) -> Option<usize> {
    const KIND: usize = 6;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
    let pair = words.chunks_exact(2).find(|pair| pair.first().and_then(|it| word(it)) == Some(KIND))?;
    word(pair.get(1)?)
}

/// Received and sent bytes of each interface but the loopback (`/proc/net/dev`).
pub fn interfaces(text: &str) -> Vec<(String, [u64; 2])> {
    let interface = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let fields: Vec<u64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let name = name.trim();
        (name != "lo").then_some(())?;
        Some((name.to_owned(), [*fields.first()?, *fields.get(8)?]))
    };
    text.lines().filter_map(interface).collect()
}

/// File systems that keep files on disks of the machine. Those of the network are none of them: while their server is
/// away, whoever asks for their size waits for it.
const ON_DISKS: [&str; 19] = [
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "jfs", "msdos", "nilfs2",
    "ntfs", "ntfs3", "reiserfs", "ufs", "vfat", "virtiofs", "xfs", "zfs",
];
/// Where Docker mounts a file system of its own for each layer of each container.
const LAYERS: &str = "/var/lib/docker/zfs/";

/// The folders where file systems on disks are mounted (`/proc/mounts`), each device once.
pub fn mounts(text: &str) -> Vec<String> {
    let mut devices = std::collections::BTreeSet::new();
    let mount = |line: &str| {
        let mut words = line.split(' ');
        let (device, path, kind) = (words.next()?, words.next()?, words.next()?);
        let wanted = ON_DISKS.contains(&kind) && !path.starts_with(LAYERS);
        (wanted && devices.insert(device.to_owned())).then(|| unescaped(path))
    };
    text.lines().filter_map(mount).collect()
}

/// Blanks and their kin stand as octal numbers: `\040`.
fn unescaped(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Established connections with one of these ports on this side, or one of those on the other
/// (`/proc/net/tcp`, `/proc/net/tcp6`).
pub fn connections(text: &str, here: &[u16], there: &[u16]) -> usize {
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let counts = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let (Some(local), Some(remote), Some("01")) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        port(local).is_some_and(|port| here.contains(&port))
            || port(remote).is_some_and(|port| there.contains(&port))
    };
    text.lines().filter(counts).count()
}

/// The head of a signature database of ClamAV: `ClamAV-VDB:BUILD TIME:VERSION:SIGNATURES:…`. The build time holds a
/// colon of its own in some versions, written as `-`.
pub fn signatures(head: &[u8]) -> Option<[u64; 2]> {
    let text = std::str::from_utf8(head.get(..head.len().min(512))?.split(|byte| *byte == 0).next()?).ok();
    let text = text.or_else(|| std::str::from_utf8(head.get(..64)?).ok())?;
    let mut fields = text.strip_prefix("ClamAV-VDB:")?.split(':').skip(1);
    Some([fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?])
}

/// The second of local time at the begin of a line of fail2ban's log, as a text that sorts.
pub fn ban_stamp(line: &str) -> Option<&str> {
    let stamp = line.get(..19)?;
    let mut shape = stamp.bytes().zip(*b"0000-00-00 00:00:00");
    let fits = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    shape.all(fits).then_some(stamp)
}

/// What a line of fail2ban's log says: the second of its local time as a text that sorts, whether it is a ban, and of
/// which network.
pub fn ban(line: &str) -> Option<(&str, bool, &str)> {
    let at = ban_stamp(line)?;
    let (_, rest) = line.split_once("fail2ban.actions")?;
    let (_, rest) = rest.split_once("] ")?;
    let (verb, network) = rest.split_once(' ')?;
    match verb {
        "Ban" | "Restore" => Some((at, true, network.trim_start_matches("Ban ").trim())),
        "Unban" => Some((at, false, network.trim())),
        _ => None,
    }
}

/// Whether a line of sshd tells of a login that failed. One with an unknown name is told twice.
pub fn is_failed_login(text: &str) -> bool {
    let known =
        text.starts_with("Failed password for ") && !text.starts_with("Failed password for invalid user ");
    known || text.starts_with("Invalid user ")
}

/// The setting of a file such as `mailcow.conf`.
pub fn setting<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_proc_are_read() {
        assert_eq!(load("0.52 0.48 0.40 2/345 12345\n"), Some([0.52, 0.48, 0.40]));
        assert_eq!(load("much"), None);
        let memory_text = "MemTotal:       2048 kB\nMemAvailable:   1024 kB\nHugePages_Total:  0\n";
        assert_eq!(memory(memory_text, "MemAvailable"), Some(1_048_576.0));
        assert_eq!(memory(memory_text, "Mem"), None);
        let stat =
            "cpu  30 0 10 50 10 0 0 0 0 0\ncpu0 10 0 5 30 5 0 0 0 9 0\ncpu1 20 0 5 20 5 0 0 0 0 0\nintr 5\n";
        assert_eq!(cores(stat), [("0".to_owned(), [15, 50]), ("1".to_owned(), [25, 50])]);
        let stat = "12 (a) b) (x) Z 1 12 12 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 55 1048576 77 1844";
        let expected = Process { name: "a) b) (x", state: 'Z', ticks: 42, pages: 77 };
        assert_eq!(process(stat), Some(expected));
        assert_eq!(process("7 (x) S 1").map(|it| (it.state, it.ticks)), Some(('S', 0)));
        assert_eq!((process("7 x S 1"), process("7 (x)")), (None, None));
        let auxv: Vec<u8> = [33_usize, 1, 6, 4096, 0, 0].into_iter().flat_map(usize::to_ne_bytes).collect();
        assert_eq!(page_size(&auxv), Some(4096));
        assert_eq!((page_size(&auxv[..17]), page_size(&auxv[16..24]), page_size(b"")), (None, None, None));
        let net = "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 5 0 0 0 0 0 0 0 5 0\n  eth0: 1000 9 0 0 0 0 0 0 2000 8 0 0 0 0 0 0\n";
        assert_eq!(interfaces(net), [("eth0".to_owned(), [1000, 2000])]);
        let mounts_text = "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw 0 0\n/dev/vda1 /var/lib/docker ext4 rw 0 0\n/dev/loop0 /snap squashfs ro 0 0\n/dev/vdb1 /my\\040disk xfs rw 0 0\n";
        assert_eq!(mounts(mounts_text), ["/", "/my disk"]);
        let mounts_text = "rpool/ROOT / zfs rw 0 0\nrpool/ROOT /var/log zfs rw 0 0\nrpool/mail /mail zfs rw 0 0\n\
            rpool/1a /var/lib/docker/zfs/graph/1a zfs rw 0 0\nbackup:/x /backup nfs4 rw 0 0\n\
            //nas/x /nas cifs rw 0 0\noverlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n\
            tmpfs /run tmpfs rw 0 0\n/dev/sr0 /media/cd iso9660 ro 0 0\n/dev/loop1 /disk ext4 rw 0 0\n/dev/vdc\n";
        assert_eq!(mounts(mounts_text), ["/", "/mail", "/disk"]);
        let tcp = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:0019 0200007F:C350 01 0\n   1: 0100007F:0019 00000000:0000 0A 0\n   2: 0100007F:C351 0300007F:0019 01 0\n";
        assert_eq!(connections(tcp, &[25, 465], &[25]), 2);
        assert_eq!(connections(tcp, &[993], &[]), 0);
    }

    #[test]
    fn files_of_other_programs_are_read() {
        let head = b"ClamAV-VDB:20 Nov 2026 09-30 +0000:27456:2067432:90:md5:sig:builder:1795166999";
        assert_eq!(signatures(head), Some([27456, 2_067_432]));
        assert_eq!(signatures(b"\x1f\x8bgzip"), None);
        assert_eq!(
            ban("2026-11-20 10:00:00,123 fail2ban.actions        [77]: NOTICE  [sshd] Ban 198.51.100.9"),
            Some(("2026-11-20 10:00:00", true, "198.51.100.9"))
        );
        assert_eq!(ban("2026-11-20 10:00:00,123 fail2ban.filter [77]: INFO [sshd] Found 198.51.100.9"), None);
        assert!(is_failed_login("Failed password for root from 198.51.100.9 port 5 ssh2"));
        assert!(!is_failed_login("Accepted publickey for root from 198.51.100.9"));
        let conf = "# x\nMAILCOW_HOSTNAME=mail.example.org\nTZ=\"Europe/Berlin\"\nTZX=5\nEMPTY=\n";
        assert_eq!(setting(conf, "TZ"), Some("Europe/Berlin"));
        assert_eq!((setting(conf, "EMPTY"), setting(conf, "NONE")), (None, None));
    }
}
