//! The pipelines of `docs/gitlab.md` and `docs/github.md`: their lines that are venvoy's, run as they stand there.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{
    pack::registry::debians,
    support::{
        executable::write_executable, index::index, lock::Lock, mount::without_network, package::Package,
        program::PATH, project::Project, run::Run,
    },
};

/// A file that a page shows, by the name in the comment before it.
fn shown(page: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = fs::read_to_string(path).expect("a page");
    let (_, after) = text.split_once(&format!("<!-- file: {name} -->")).expect("the file is shown");
    let (_, block) = after.split_once("```").expect("a block");
    let (block, _) = block.split_once("\n```").expect("its end");
    block.split_once('\n').expect("a language").1.to_owned()
}

/// The lines of a job that begin with `mark`, the job being what is indented below its name.
fn lines(pipeline: &str, job: &str, mark: &str) -> Vec<String> {
    let mut of_job = pipeline.lines().skip_while(|line| line.trim() != job);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = of_job.next().map(indent).expect("the job is there");
    let own = of_job.take_while(|line| line.trim().is_empty() || indent(line) > depth);
    own.filter_map(|line| line.trim_start().strip_prefix(mark)).map(str::to_owned).collect()
}

/// A project with two categories, an index for it, a registry, and venvoy on PATH.
struct Pipeline {
    project: Project,
    asked: Box<dyn Fn() -> usize>,
    repository: String,
    variables: Vec<(&'static str, String)>,
    _registry: crate::support::process::Running,
}

impl Pipeline {
    fn new() -> Self {
        let (demo, test) = (Package::simple("demo", "1.0"), Package::simple("pytest", "1.0"));
        let server = index(&[demo.clone(), test.clone()]);
        let url = server.url("/simple");
        let project = Project::of(&Lock::at(&url).package(&demo).entry("develop", "pytest", test.entry()));
        let binary = env!("CARGO_BIN_EXE_venvoy");
        write_executable(
            &project.path("bin/venvoy"),
            format!("#!/bin/sh\nexec {binary} \"$@\"\n").as_bytes(),
        );
        let (registry, port) = debians(&project);
        let asked = Box::new(move || server.log().len());
        Pipeline {
            project,
            asked,
            repository: format!("127.0.0.1:{port}/team/shop"),
            variables: Vec::new(),
            _registry: registry,
        }
    }

    /// A line as a job's shell runs it.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-ec", line])
            .current_dir(self.project.dir())
            .env_clear()
            .env("PATH", format!("{}:{PATH}", self.project.path("bin").display()))
            .env("HOME", self.project.path("home"))
            .env("CI", "true")
            .envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    #[track_caller]
    fn run(&self, line: &str) -> Run {
        let run = self.project.finish(&mut self.shell(line));
        assert!(run.code == Some(0), "{line}\n{}{}", run.stdout, run.stderr);
        run
    }

    /// Runs those of a job's lines that need no service, in order; says how many.
    fn job(&self, lines: &[String]) -> usize {
        let ours = |line: &&String| {
            line.starts_with("venvoy ")
                || line.starts_with(".venv/")
                || line.starts_with("mkdir ") && !line.contains("docker")
        };
        let ours: Vec<&String> = lines.iter().filter(ours).collect();
        for line in &ours {
            self.run(line);
        }
        ours.len()
    }

    /// A runner that has the CI's cache and nothing else.
    fn fresh(&self) {
        let _ = fs::remove_dir_all(self.project.venv());
    }

    /// The Dockerfile's step, with the cache where the build binds it, and no network.
    fn build(&self) {
        let dockerfile = shown("gitlab.md", "warm.Dockerfile");
        let (_, step) = dockerfile.split_once("target=/warmed \\\n").expect("the step");
        let line = step.lines().next().expect("a line").trim().replace("/warmed", ".cache/venvoy");
        self.fresh();
        let Some(mut command) = without_network(&self.shell(&line)) else { return };
        command.env("VENVOY_CACHE_DIR", self.project.path("of-the-build"));
        let run = self.project.finish(&mut command);
        assert!(run.code == Some(0), "{line}\n{}", run.stderr);
        assert_eq!(self.project.script("demo"), "demo 1.0");
    }

    /// What was cached and pushed is enough: no line since asked the index.
    fn is_self_sufficient(&self, asked: usize) {
        assert_eq!((self.asked)(), asked, "the index was not asked any more");
        let unpacked = self.project.path("project/.cache/venvoy/v1/unpacked");
        assert!(!unpacked.exists(), "what is carried is wheels");
    }
}

#[test]
fn gitlabs_pipeline_warms_once_and_the_other_jobs_ask_no_index() {
    let mut pipeline = Pipeline::new();
    let yaml = shown("gitlab.md", "warm.gitlab-ci.yml");
    let project = pipeline.project.dir().display().to_string();
    pipeline.variables = vec![
        ("GITLAB_CI", "true".into()),
        ("CI_COMMIT_REF_PROTECTED", "true".into()),
        ("CI_PROJECT_DIR", project.clone()),
        ("CI_REGISTRY_IMAGE", pipeline.repository.clone()),
    ];
    for (name, value) in [("VENVOY_CACHE_DIR", project), ("VENVOY_CACHE_FROM", pipeline.repository.clone())] {
        let line = yaml.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{name}: ")));
        let line =
            line.expect("it is set").replace("$CI_PROJECT_DIR", &value).replace("$CI_REGISTRY_IMAGE", &value);
        pipeline
            .variables
            .push((if name == "VENVOY_CACHE_DIR" { "VENVOY_CACHE_DIR" } else { "VENVOY_CACHE_FROM" }, line));
    }
    let job = |name: &str| lines(&yaml, name, "- ");
    assert_eq!(pipeline.job(&job("warm:")), 2);
    let asked = (pipeline.asked)();
    pipeline.fresh();
    assert_eq!(pipeline.job(&job("test:")), 2);
    assert_eq!(pipeline.job(&job("image:")), 1);
    pipeline.build();
    // A runner without the CI's cache has the registry.
    fs::remove_dir_all(pipeline.project.path("project/.cache")).expect("removed");
    pipeline.fresh();
    assert_eq!(pipeline.job(&job("test:")), 2);
    pipeline.is_self_sufficient(asked);
}

#[test]
fn githubs_workflow_warms_once_and_the_other_jobs_ask_no_index() {
    let mut pipeline = Pipeline::new();
    let yaml = shown("github.md", "image.yml");
    let output = pipeline.project.path("output");
    pipeline.variables = vec![
        ("GITHUB_ACTIONS", "true".into()),
        ("GITHUB_EVENT_NAME", "schedule".into()),
        ("GITHUB_OUTPUT", output.display().to_string()),
        ("VENVOY_CACHE_DIR", pipeline.project.path("project/.cache/venvoy").display().to_string()),
        ("VENVOY_CACHE_FROM", format!("oci://{}/wheels", pipeline.repository)),
    ];
    let job = |name: &str| {
        let mut all = lines(&yaml, name, "- run: ");
        all.extend(lines(&yaml, name, "run: "));
        all
    };
    // Key, warm, prune.
    assert_eq!(pipeline.job(&job("warm:")), 3);
    let outputs = fs::read_to_string(&output).expect("outputs");
    let prefix = outputs.lines().find_map(|line| line.strip_prefix("prefix=")).expect("a prefix");
    assert!(outputs.lines().any(|line| line.starts_with(&format!("key={prefix}"))), "{outputs}");
    let asked = (pipeline.asked)();
    pipeline.fresh();
    assert_eq!(pipeline.job(&job("image:")), 3);
    pipeline.build();
    pipeline.is_self_sufficient(asked);
    // A fork's pull request may not push.
    let event = json!({"pull_request": {"head": {"repo": {"full_name": "fork/shop"}}, "base": {"repo": {"full_name": "team/shop"}}}});
    pipeline.project.write("event.json", event.to_string());
    pipeline.variables.retain(|(name, _)| *name != "GITHUB_EVENT_NAME");
    pipeline.variables.push(("GITHUB_EVENT_NAME", "pull_request".into()));
    pipeline.variables.push(("GITHUB_EVENT_PATH", pipeline.project.path("event.json").display().to_string()));
    let push = job("warm:").into_iter().find(|line| line.contains("--push")).expect("the line");
    let run = pipeline.project.finish(&mut pipeline.shell(&push));
    run.ends_with(2).mentions(&["the pull request comes from fork/shop"]);
}
