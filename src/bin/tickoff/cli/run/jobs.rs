//! What is done for each row: a command of its own, or a request to a worker that stays alive.

use tickoff::{
    CannotRun, CommandTemplate, Job, KeptOutput, Orphans, Outcome, RecordCommand, Rights, Session,
    Stop, WorkerProcesses, escape,
};

use super::args::RunArgs;
use super::printed::JobOutput;
use crate::exit::{Exit, Failure};
use crate::sys::has_terminal;

/// Refuses a command that is not there or cannot be run, if that can be told without the sheet, and one that cannot
/// have the terminal.
pub fn must_be_runnable(args: &RunArgs) -> Result<(), Failure> {
    if args.tty && !args.dry_run {
        let problem = match args.jobs.get() {
            1 if has_terminal() => None,
            1 => Some(
                "--tty gives commands the terminal, and there is none, or this runs in the background",
            ),
            _ => Some("--tty gives the terminal to one command at a time: add -j 1"),
        };
        if let Some(problem) = problem {
            return Err(Failure::Other(Exit::Usage, problem.to_owned()));
        }
    }
    let program = args.cmd[0].to_string_lossy().replace("{}", "");
    match template(args, &[]) {
        Ok(template) if args.worker_protocol.is_some() || !program.contains('{') => {
            resolve(&template)
        }
        // What it may name, and what is to be said of it, depends on the columns.
        _ => Ok(()),
    }
}

/// Refuses a command that cannot be run for a sheet with these columns, or whose placeholders are not as they
/// should be.
pub fn must_fit(args: &RunArgs, columns: &[String]) -> Result<(), Failure> {
    resolve(&template(args, columns)?)
}

fn resolve(template: &CommandTemplate) -> Result<(), Failure> {
    let resolved = template.resolve_program();
    resolved.map_err(|reason| Failure::Other(exit_of(&reason), reason.to_string()))
}

/// The command line for a sheet with these columns; that of a worker has no placeholders.
pub fn template(args: &RunArgs, columns: &[String]) -> Result<CommandTemplate, Failure> {
    if args.worker_protocol.is_some() {
        return Ok(CommandTemplate::literal(&args.cmd));
    }
    CommandTemplate::parse(&args.cmd, columns)
        .map_err(|error| Failure::Other(Exit::Usage, error.to_string()))
}

fn exit_of(reason: &CannotRun) -> Exit {
    match reason.exit_code() {
        127 => Exit::NoCommand,
        _ => Exit::CannotRun,
    }
}

/// What is done for each row, and what it leaves behind.
pub struct Jobs {
    work: Work,
    orphans: Orphans,
}

enum Work {
    Commands(RecordCommand),
    Workers(WorkerProcesses),
}

impl Jobs {
    /// Makes ready what all jobs share.
    pub fn prepare(
        args: &RunArgs,
        session: &Session,
        output: Option<&JobOutput>,
    ) -> Result<Jobs, Failure> {
        let orphans = Orphans::adopt(args.kill_leftovers).map_err(|error| {
            Failure::Other(
                Exit::NotWritten,
                format!("cannot see to what jobs leave behind: {error}"),
            )
        })?;
        let work = Jobs::work(args, session, output, &orphans)?;
        Ok(Jobs { work, orphans })
    }

    fn work(
        args: &RunArgs,
        session: &Session,
        output: Option<&JobOutput>,
        orphans: &Orphans,
    ) -> Result<Work, Failure> {
        let (id, stage) = (session.id(), args.stage.stage());
        if args.worker_protocol.is_none() {
            let columns = session.columns();
            let template = template(args, &columns)?;
            for (text, placeholder) in template.meant_as_cells(&columns) {
                let (text, placeholder) = (escape(text), escape(&placeholder));
                tracing::warn!(
                    "the command gets {text} as it is, since no shell looks at it: {placeholder} is the cell"
                );
            }
            for text in template.left_as_text() {
                tracing::warn!("the sheet has no column {text}: the command gets it as it is");
            }
            let mut command = RecordCommand::new(template, id)?
                .stage(&stage)
                .orphans(orphans)
                .keep_large_answers(session.handler().backups()?);
            if let Some(timeout) = args.timeout {
                command = command.timeout(timeout);
            }
            if args.tty {
                command = command.on_terminal();
            }
            if let Some(column) = &args.stdout_to {
                command = command.stdout_to(column);
            }
            if let Some(codes) = &args.retry_on {
                command = command.retry_on(codes.clone());
            }
            if let Some(folder) = &args.results {
                command = command.keep_output(KeptOutput::in_folder(
                    folder,
                    Rights::of(session.handler().path())?,
                )?);
            }
            if let Some(output) = output {
                command = command.print_to(output.printer());
            }
            return Ok(Work::Commands(command));
        }
        let mut workers = WorkerProcesses::new(&args.cmd, args.jobs.get(), id)?
            .stage(&stage)
            .keep_large_answers(session.handler().backups()?)
            .orphans(orphans)
            .stagger(args.stagger);
        if let Some(timeout) = args.timeout {
            workers = workers.timeout(timeout);
        }
        if let Some(answers) = args.recycle_after {
            workers = workers.recycle_after(answers);
        }
        if let Some(output) = output {
            workers = workers.print_to(output.printer());
        }
        Ok(Work::Workers(workers))
    }

    /// Does it for one row.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        match &self.work {
            Work::Commands(command) => command.run(job),
            Work::Workers(workers) => workers.run(job),
        }
    }

    /// Lets the process end that a worker had, of which the pool has fewer now.
    pub fn retire(&self, worker: usize, stop: &Stop) {
        if let Work::Workers(workers) = &self.work {
            workers.retire(worker, stop);
        }
    }

    /// Lets workers end, and sees to what jobs left behind. How the run ends if no job could be started, or no worker
    /// ever answered.
    pub fn finish(self, stop: &Stop) -> Exit {
        let cannot_run = match &self.work {
            Work::Commands(command) => command.cannot_run(),
            Work::Workers(workers) => workers.cannot_run(),
        };
        let mut exit = cannot_run.map_or(Exit::Done, exit_of);
        if let Work::Workers(workers) = self.work {
            if workers.gave_up() {
                exit = exit.and(Exit::Halted);
            }
            workers.finish(stop);
        }
        self.orphans.finish();
        exit
    }
}
