//! How much memory this process may use, and how much of it images may use.

use std::path::{Path, PathBuf};

use super::App;
use crate::domain::Device;
use crate::vision::PixelLimits;
use crate::worker::budget::MemoryLimits;
use crate::worker::pyramid::Pyramid;

/// Memory of the runtime, the program, connections, jobs in flight and unrecorded results, bytes.
const PROGRAM: u64 = 112 << 20;

/// Memory of each thread, bytes: a session of the recogniser, a session of the detector and a spare
/// picture.
const THREAD: u64 = 150 << 20;

/// Memory that a detector keeps for each pixel of the largest copy that it has processed, bytes.
const DETECTOR_PIXEL: u64 = 64;

/// Memory of a GPU driver in the process, bytes.
const GPU: u64 = 1 << 30;

impl App {
    /// How much memory images may use while the networks run on `device`.
    pub(super) fn bounds(&self, device: Device, pyramid: Option<&Pyramid>) -> MemoryLimits {
        let limits = &self.settings.limits;
        let (whole, from) = match limits.memory {
            0 => of_this_process(),
            set => (set, "limits.memory"),
        };
        let copy = pyramid.map_or(0, |pyramid| {
            u64::from(pyramid.max_side).pow(2).max(pyramid.fine_pixels.unwrap_or(0))
        });
        let gpu = if device == Device::Cpu || matches!(device, Device::OpenVino) { 0 } else { GPU };
        let threads = self.settings.threads() as u64;
        let rest = PROGRAM + gpu + threads * (THREAD + DETECTOR_PIXEL * copy);
        // Small images are processed even if there is too little memory.
        let memory = whole.saturating_sub(rest).max(whole / 4);
        let mebibytes = |bytes: u64| bytes >> 20;
        if memory + rest > whole {
            tracing::warn!(
                "too little memory: {} MiB ({from}); the networks of {threads} threads need about \
                    {}. Give the process more, or lower worker.threads",
                mebibytes(whole),
                mebibytes(rest)
            );
        }
        tracing::info!(
            "{} MiB of memory ({from}), {} of them for images",
            mebibytes(whole),
            mebibytes(memory)
        );
        MemoryLimits {
            memory,
            max_bytes: limits.max_bytes,
            limits: PixelLimits { max_pixels: limits.max_pixels },
        }
    }
}

/// The lowest memory limit of the cgroups of this process, or the machine's memory, bytes; and
/// which of them it is.
fn of_this_process() -> (u64, &'static str) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = total(&read("/proc/meminfo")).unwrap_or(4 << 30);
    let folders = cgroups(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    match folders.iter().filter_map(|folder| limit(folder)).min().filter(|&limit| limit < machine) {
        Some(limit) => (limit, "the limit of its cgroup"),
        None => (machine, "the machine's"),
    }
}

/// `MemTotal` of /proc/meminfo, bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The limit that a cgroup's folder contains, of either version of cgroups.
fn limit(folder: &Path) -> Option<u64> {
    let named = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
    // "max" is not a number: there is no limit.
    named("memory.max").or_else(|| named("memory.limit_in_bytes"))
}

/// The folders of the cgroups that limit this process's memory: its own and its parents, as far as
/// they are visible. `own` is /proc/self/cgroup, `mounts` is /proc/self/mountinfo.
fn cgroups(own: &str, mounts: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in own.lines() {
        // HIERARCHY:CONTROLLERS:PATH; version 2 names no controllers.
        let Some((controllers, path)) =
            line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))
        else {
            continue;
        };
        let version_2 = controllers.is_empty();
        if !version_2 && !controllers.split(',').any(|name| name == "memory") {
            continue;
        }
        let wanted = |kind: &str, options: &str| match version_2 {
            true => kind == "cgroup2",
            false => kind == "cgroup" && options.split(',').any(|name| name == "memory"),
        };
        let Some((root, mounted_at)) = mounts.lines().find_map(|line| mount(line, wanted)) else {
            continue;
        };
        // In a container, the path may be the host's, while the mount shows the container's cgroup
        // only.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        // Joining an empty path adds a trailing slash; `components` removes it.
        let leaf = Path::new(mounted_at).join(below).components().collect::<PathBuf>();
        folders.extend(
            leaf.ancestors()
                .take_while(|folder| folder.starts_with(mounted_at))
                .map(Path::to_owned),
        );
    }
    folders
}

/// Root and mount point of a mount, if its kind and options are `wanted`. The format of a line:
/// `ID PARENT DEVICE ROOT MOUNT_POINT OPTIONS… - KIND SOURCE OPTIONS`.
fn mount(line: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let mut before = before.split(' ').skip(3);
    wanted(kind, options).then_some((before.next()?, before.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(own: &str, mounts: &str) -> Vec<String> {
        cgroups(own, mounts).iter().map(|folder| folder.display().to_string()).collect()
    }

    #[test]
    fn the_cgroups_above_are_looked_at_too_in_both_versions() {
        let unified =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            folders("0::/system.slice/worker.service\n", unified),
            [
                "/sys/fs/cgroup/system.slice/worker.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup"
            ]
        );
        let both = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            folders("4:memory:/a/b\n3:cpu:/x\n0::/\n", both),
            [
                "/sys/fs/cgroup/memory/a/b",
                "/sys/fs/cgroup/memory/a",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/unified"
            ]
        );
    }

    #[test]
    fn a_container_sees_its_own_part() {
        let part = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(folders("4:memory:/docker/abc\n", part), ["/sys/fs/cgroup/memory"]);
        assert_eq!(
            folders("4:memory:/docker/abc/in\n", part),
            ["/sys/fs/cgroup/memory/in", "/sys/fs/cgroup/memory"]
        );
        // A namespace of its own, under a mount of the host's.
        let whole = "30 23 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(folders("0::/\n", whole), ["/sys/fs/cgroup"]);
        assert_eq!(folders("", ""), [""; 0]);
    }

    #[test]
    fn limits_are_read_from_either_file() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(limit(folder.path()), None);
        write("memory.limit_in_bytes", "1073741824\n");
        assert_eq!(limit(folder.path()), Some(1 << 30));
        write("memory.max", "536870912\n");
        assert_eq!(limit(folder.path()), Some(512 << 20));
        write("memory.max", "max\n");
        std::fs::remove_file(folder.path().join("memory.limit_in_bytes")).unwrap();
        assert_eq!(limit(folder.path()), None);
        assert_eq!(total("MemTotal:       24684544 kB\nMemFree: 1 kB\n"), Some(24_684_544 << 10));
        assert!(of_this_process().0 > 64 << 20);
    }
}
