//! An S3 server over a folder: `rclone serve s3`, which `scripts/setup.py test` installs. It checks
//! signatures and lists in pages of 1000 keys.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";
/// Longer than the server takes what it knows of a folder to be true: 1 ms.
const KNOWN: Duration = Duration::from_millis(2);

/// A server on a free port. It is killed when dropped.
pub struct S3Server {
    child: Child,
    url: String,
    folder: TempDir,
}

impl S3Server {
    /// Starts a server without buckets.
    pub fn start() -> Self {
        // What tests put into the folder shows at once. With 0s, rclone clears its cache in a busy
        // loop as soon as something is deleted, and requests take ten seconds and more.
        Self::serve(
            &["s3", "--auth-key", &format!("{KEY},{SECRET}"), "--dir-cache-time", "1ms"],
            tempfile::tempdir().unwrap(),
        )
    }

    /// Starts an HTTPS server of plain files below `folder` instead.
    pub fn start_https(certificate: &Path, key: &Path, folder: TempDir) -> Self {
        Self::serve(
            &["http", "--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()],
            folder,
        )
    }

    fn serve(arguments: &[&str], folder: TempDir) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/tools/servers/rclone");
        let mut child = Command::new(&program)
            .arg("serve")
            .args(arguments)
            .args(["--addr", "127.0.0.1:0", "--config", "/dev/null"])
            .arg(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; run `python3 scripts/setup.py test`", program.display())
            });
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let url = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "rclone exited before it listened");
            if let Some((_, rest)) = line.split_once("on [") {
                break rest.split_once("/]").unwrap().0.to_owned();
            }
        };
        // Drain the log, so that the server never blocks on it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, url, folder }
    }

    /// The URL of the server, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts an object into a bucket. Creates the bucket if it is missing. Requests after it find
    /// the new object, and not the length of an old one.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let path = self.path(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        std::thread::sleep(KNOWN);
    }

    /// The folder of a bucket.
    pub fn path(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    /// Environment variables of a client with valid credentials.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables_with_secret(SECRET)
    }

    /// Environment variables of a client with this secret.
    pub fn variables_with_secret(&self, secret: &str) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_REGION", "us-east-1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
