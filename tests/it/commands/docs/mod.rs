//! The commands of the documentation, run as a reader would: in order, page by page, in a home
//! folder with photos, lists and labels. What a page shows below a command must be printed by it.

mod home;
mod terminal;

use facefleet::queue::JobQueue;
use terminal::{Servers, Terminal};

use crate::support::broker::TestBroker;
use crate::support::pages::{Block, Page};
use crate::support::stack::Database;

/// Commands that are not run: how they begin, and why.
const NOT_RUN: [(&str, &str); 11] = [
    ("make ", "builds, fetches or starts servers: the workflows run it"),
    ("cargo ", "builds, while cargo runs this test"),
    ("python3 scripts/setup.py ", "fetches"),
    ("docker compose ", "needs a container engine"),
    ("facefleet model import ~/Downloads/", "needs weights that are not fetched"),
    ("facefleet --config config/bfloat16.toml ", "needs OpenVINO: precision.rs runs it"),
    ("export FACEFLEET__RUNTIME__LIBRARY=", "needs a library that is not fetched"),
    ("FACEFLEET__RUNTIME__DEVICE=cuda:0 ", "needs a GPU"),
    (
        "facefleet calibrate labels.csv --fuse",
        "needs photos of 40 people: its unit tests make them",
    ),
    ("CREATE ROLE ", "creates roles: postgres_store/roles.rs runs it"),
    ("GRANT ", "grants rights to these roles: the same"),
];

/// What stands for something that only the reader knows.
const PLACEHOLDERS: [&str; 2] = [PROFILE, TEMPLATE];
const PROFILE: &str = "0123456789abcdef";
const TEMPLATE: &str = "[…]";

/// The pages whose commands belong to a fleet from the first line on. On the others, a section
/// that exports addresses uses a fleet.
const FLEET: [&str; 4] =
    ["docs/gpu.md", "docs/operations.md", "docs/postgres.md", "docs/recipes.md"];

/// What the reader did before a command: the page, how the command begins, and a script.
const BEFORE: [(&str, &str, &str); 13] = [
    (
        "README.md",
        "facefleet scan --again",
        "tee ~/photos/cut1.jpg ~/photos/cut2.jpg < ~/photos/ada.jpg > ~/photos/cut3.jpg",
    ),
    (
        "README.md",
        "facefleet scan ~/photos --gallery guests",
        "truncate --size 4000 ~/photos/cut*.jpg",
    ),
    (
        "docs/data.md",
        "facefleet export --gallery staff --format csv",
        "facefleet scan photos s3://bucket/photos --gallery staff",
    ),
    (
        "docs/sources.md",
        "facefleet scan --from s3:",
        "facefleet scan s3://faces --gallery other
        facefleet export --gallery other --format parquet --out $LISTS/today.parquet",
    ),
    ("docs/operations.md", "cp .env.example", "cp $FACEFLEET__HOME/.env.example ."),
    (
        "docs/operations.md",
        "facefleet campaign list",
        "FACEFLEET__QUALITY__METHOD=sampled facefleet scan s3://photos/staff --gallery later",
    ),
    (
        "docs/models.md",
        "facefleet --config next.toml rescore --gallery staff --root photos --root labelled",
        "facefleet scan labelled --gallery staff",
    ),
    ("docs/postgres.md", "psql -c 'DROP INDEX", FILLED),
    ("docs/recipes.md", "facefleet export --gallery staff --format parquet", FILLED),
    ("docs/gpu.md", "facefleet model prepare --half", "facefleet migrate"),
    (
        "docs/schedules.md",
        "facefleet schedule run nightly",
        r#"printf '[[schedule]]\nname = "nightly"\ncron = "30 2 * * *"\n' > facefleet.toml
        printf 'action = "scan"\ngallery = "staff"\n' >> facefleet.toml
        printf 'roots = ["%s/photos"]\n' "$PWD" >> facefleet.toml"#,
    ),
    (
        "docs/curation.md",
        "facefleet curate lowest --gallery staff",
        "facefleet scan photos --gallery staff",
    ),
    (
        "docs/search.md",
        "facefleet search portrait.jpg --gallery staff",
        "facefleet scan photos --gallery staff",
    ),
];

/// A database with a gallery, scanned without a worker.
const FILLED: &str = "facefleet migrate
    FACEFLEET__QUEUE__URL=memory: facefleet scan photos --gallery staff
    facefleet migrate";

/// A command of a page, and the lines that the page shows below it.
struct Step {
    line: usize,
    command: String,
    shown: Vec<String>,
}

impl Step {
    /// The steps of a block: a statement of SQL is one step.
    fn all(block: &Block) -> Vec<Self> {
        if block.language == "sql" {
            let (line, command) = (block.line, block.text.clone());
            return vec![Self { line, command, shown: Vec::new() }];
        }
        let mut steps = Vec::<Self>::new();
        for (line, text) in (block.line..).zip(block.text.lines()) {
            match (text.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Self { line, command: command.to_owned(), shown: Vec::new() });
                }
                (None, Some(step)) => step.shown.push(text.to_owned()),
                (None, None) => panic!("line {line}: output without a command"),
            }
        }
        steps
    }

    /// The first line.
    fn head(&self) -> &str {
        self.command.lines().next().unwrap_or_default()
    }

    /// Why this is not run.
    fn exception(&self) -> Option<&'static str> {
        let found = NOT_RUN.iter().find(|(beginning, _)| self.command.starts_with(beginning));
        found.map(|(_, why)| *why)
    }
}

/// The steps of a page, in order, with their blocks.
fn steps(page: &Page) -> impl Iterator<Item = (&Block, Step)> {
    let commands =
        page.blocks.iter().filter(|block| ["console", "sql"].contains(&&*block.language));
    commands.flat_map(|block| Step::all(block).into_iter().map(move |step| (block, step)))
}

/// How many steps ran, and which did not.
#[derive(Default)]
struct Tally {
    ran: usize,
    not_run: Vec<String>,
}

/// Runs the commands of a page.
fn read_through(page: &Page, servers: &Servers) -> Tally {
    let mut terminal = Terminal::new(servers);
    let mut tally = Tally::default();
    let fleet = FLEET.contains(&&*page.path);
    if fleet {
        terminal.join_fleet();
    }
    let mut section = "";
    for (block, step) in steps(page) {
        if !fleet && block.section != section {
            terminal.clear();
        }
        section = &block.section;
        let place = format!("{}:{}: {}", page.path, step.line, step.head());
        if let Some(why) = step.exception() {
            tally.not_run.push(format!("{place} ({why})"));
            continue;
        }
        for (of, beginning, script) in BEFORE {
            if of == page.path && step.command.starts_with(beginning) {
                let run = terminal.run(script);
                assert_eq!(run.status, Some(0), "before {place}\n{}{}", run.out, run.err);
            }
        }
        let began = std::time::Instant::now();
        let script = script(&mut terminal, block, &step);
        let run = terminal.run(&script);
        assert_eq!(run.status, Some(0), "{place}\n{}{}", run.out, run.err);
        println!("{:5.1} s  {place}", began.elapsed().as_secs_f64());
        let mut printed = run.out.lines();
        for line in &step.shown {
            assert!(printed.any(|text| text == line), "{place}\nshows {line}\n{}", run.out);
        }
        tally.ran += 1;
    }
    terminal.clear();
    tally
}

/// What bash runs for a step, with values for the placeholders.
fn script(terminal: &mut Terminal<'_>, block: &Block, step: &Step) -> String {
    let mut script = step.command.clone();
    let latest = "facefleet export --gallery staff --format jsonl | head --lines 1";
    if script.contains(PROFILE) {
        let run = terminal.run(latest);
        let image: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        script = script.replace(PROFILE, image["profile"].as_str().unwrap());
    }
    if script.contains(TEMPLATE) {
        script = script.replace(TEMPLATE, &format!("{:?}", [0.5; 128]));
    }
    match block.language.as_str() {
        "sql" => format!("psql -v ON_ERROR_STOP=1 <<'END'\n{script};\nEND"),
        _ => script,
    }
}

/// Publishes a message that is no job: workers make it a dead letter.
async fn send_a_dead_letter(broker: &TestBroker) {
    let exchange = format!("{}.jobs", broker.prefix).into();
    let channel = broker.channel().await;
    let (options, properties) = Default::default();
    let sent = channel.basic_publish(exchange, "scan".into(), options, b"ada.jpg", properties);
    sent.await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_does_what_its_page_says() {
    let mut running = Vec::new();
    for page in Page::all() {
        if steps(&page).next().is_none() {
            continue;
        }
        let (broker, database) = (TestBroker::new(), Database::new().await);
        database.run("CREATE EXTENSION vector; CREATE SCHEMA facefleet").await;
        let queue = broker.queue().await;
        send_a_dead_letter(&broker).await;
        running.push(tokio::task::spawn_blocking(move || {
            let servers = Servers { broker, database, buckets: home::buckets() };
            (read_through(&page, &servers), servers)
        }));
        queue.close().await;
    }
    let mut all = Tally::default();
    for page in running {
        let (tally, servers) = page.await.unwrap();
        servers.broker.remove().await;
        all.ran += tally.ran;
        all.not_run.extend(tally.not_run);
    }
    println!("not run:\n{}", all.not_run.join("\n"));
    println!("{} commands ran, {} did not", all.ran, all.not_run.len());
    assert!(all.ran > all.not_run.len());
}

#[test]
fn commands_are_in_console_blocks_and_no_exception_is_left_over() {
    let pages = Page::all();
    let steps: Vec<(&Page, Step)> =
        pages.iter().flat_map(|page| steps(page).map(move |(_, step)| (page, step))).collect();
    let occurs =
        |beginning: &str| steps.iter().any(|(_, step)| step.command.starts_with(beginning));
    for (beginning, _) in NOT_RUN {
        assert!(occurs(beginning), "no page has the exception: {beginning}");
    }
    for placeholder in PLACEHOLDERS {
        let occurs = steps.iter().any(|(_, step)| step.command.contains(placeholder));
        assert!(occurs, "no page has the placeholder: {placeholder}");
    }
    for (path, beginning, _) in BEFORE {
        let found = steps
            .iter()
            .any(|(page, step)| page.path == path && step.command.starts_with(beginning));
        assert!(found, "{path} has no command {beginning}");
    }
    for page in &pages {
        for (number, line) in &page.indented {
            let first = line.split(' ').find(|word| !word.contains('=')).unwrap_or_default();
            let command =
                ["$", "facefleet", "make", "cargo", "docker", "psql", "python3", "export"];
            assert!(
                !command.contains(&first),
                "{}:{number}: put commands into a console block: {line}",
                page.path
            );
        }
    }
}
