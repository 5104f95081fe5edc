//! What a worker of these settings reports of itself.

use std::net::SocketAddr;

use anyhow::Result;
use percent_encoding::percent_decode_str;
use url::Url;

use super::App;
use crate::domain::{Lane, WorkerId, WorkerReport};
use crate::images::Root;
use crate::worker::Processor;

impl App {
    /// The queue of these settings as workers report it: virtual host and prefix. Not the host:
    /// hosts may reach one broker by different names.
    pub fn queue_name(&self) -> String {
        let queue = &self.settings.queue;
        let path = Url::parse(queue.url.expose()).map(|url| url.path().to_owned());
        let path = path.unwrap_or_default();
        let name = percent_decode_str(path.strip_prefix('/').unwrap_or(&path)).decode_utf8_lossy();
        let host = if name.is_empty() { "/" } else { &*name };
        format!("{host} {}", queue.prefix)
    }

    /// What a worker reports of itself that takes jobs of `lanes` with `processor`, reads below
    /// `roots` and where the settings allow, and listens on `listener`.
    ///
    /// # Errors
    /// If a setting is not a root.
    pub fn worker_report(
        &self,
        lanes: &[Lane],
        roots: &[Root],
        processor: &Processor,
        listener: Option<SocketAddr>,
    ) -> Result<WorkerReport> {
        let allowed = self.allowed(roots)?;
        Ok(WorkerReport {
            id: WorkerId::new(),
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queue: self.queue_name(),
            profile: processor.profile_id().clone(),
            provider: processor.provider().to_owned(),
            lanes: lanes.to_vec(),
            roots: allowed.iter().map(Root::name).collect(),
            resolved: allowed.iter().filter_map(Root::resolved).collect(),
            listener: listener.map(|address| address.to_string()),
            settings: self.reported_settings(),
        })
    }

    fn reported_settings(&self) -> std::collections::BTreeMap<String, String> {
        let (worker, limits) = (&self.settings.worker, &self.settings.limits);
        let selection = self.settings.selection();
        [
            ("worker.threads", self.settings.threads().to_string()),
            ("worker.batch", worker.batch.to_string()),
            ("worker.attempts", worker.attempts.to_string()),
            ("limits.max_bytes", limits.max_bytes.to_string()),
            ("limits.max_pixels", limits.max_pixels.to_string()),
            ("detector.faces", selection.faces.to_string()),
            ("detector.min_face_px", selection.min_size_px.to_string()),
            ("detector.min_score", selection.min_score.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_queue_is_named_by_virtual_host_and_prefix_without_a_password() {
        let name = |url: &str| {
            let mut settings = Settings::load(None).unwrap();
            settings.queue.url = url.to_owned().into();
            App::new(settings).queue_name()
        };
        for (url, expected) in [
            ("amqp://me:secret@host/faces", "faces facefleet"),
            ("amqps://other-name:5671/faces", "faces facefleet"),
            ("amqp://host/%2f", "/ facefleet"),
            ("amqp://host", "/ facefleet"),
            ("amqp://host/", "/ facefleet"),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }
}
