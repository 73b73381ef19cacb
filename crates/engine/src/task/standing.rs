//! What the creations of a group stand on: each row is read once and named once in their batch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use dormouse_filesystem::{Records, Versioned};

use super::delegations::expect_live;
use super::sight::Sight;
use super::{Delegation, DependencyEnd, NewTask, Task, Tree};
use crate::agent::{Agent, Agents};
use crate::core::Core;
use crate::draft::Draft;
use crate::limits::TREE_DEPTH_MAX;
use crate::run::Run;
use crate::{AgentName, CommandError, Incarnation, OpId, RunId, TaskId};

/// In whose name a task is made.
#[derive(Debug, Clone)]
pub(super) enum Maker {
    /// Whoever sees this.
    Seen(Sight),
    /// A live run, which gives it away.
    Run(RunId),
}

/// What is known of a new task beside what was said of it.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(super) agent: Versioned<Agent>,
    pub(super) owner: Option<(AgentName, Incarnation)>,
    /// Who gives it away, if a run does.
    pub(super) giver: Option<Giver>,
    /// What it waits for and that has not ended.
    pub(super) open: Vec<TaskId>,
    /// The first of what it waits for that was not done.
    pub(super) undone: Option<TaskId>,
}

impl Grounds {
    /// Of a task for this agent that waits for nothing, and that nobody owns or gave away.
    pub(crate) fn of(agent: Versioned<Agent>) -> Self {
        Self {
            agent,
            owner: None,
            giver: None,
            open: Vec::new(),
            undone: None,
        }
    }
}

/// Where a delegation hangs.
#[derive(Debug, Clone)]
pub(super) struct Giver {
    pub(super) parent: TaskId,
    pub(super) root: TaskId,
    pub(super) depth: u32,
    pub(super) agent: AgentName,
    pub(super) agent_incarnation: Incarnation,
}

/// A task that others of the group follow, or are checked against.
struct Known {
    read: Versioned<Task>,
    /// The command that makes it one that is followed.
    followed_by: Option<OpId>,
    is_used: bool,
}

struct KnownTree {
    read: Option<Versioned<Tree>>,
    tree: Tree,
}

/// The rows of a group.
pub(super) struct Standing<'c> {
    core: &'c Arc<Core>,
    agents: Agents,
    present: HashMap<AgentName, Versioned<Agent>>,
    runs: HashMap<RunId, Versioned<Run>>,
    tasks: HashMap<TaskId, Known>,
    trees: HashMap<TaskId, KnownTree>,
}

impl<'c> Standing<'c> {
    pub(super) fn new(core: &'c Arc<Core>) -> Self {
        Self {
            core,
            agents: Agents::new(core),
            present: HashMap::new(),
            runs: HashMap::new(),
            tasks: HashMap::new(),
            trees: HashMap::new(),
        }
    }

    /// What a new task stands on. A place in its tree is taken by this.
    pub(super) async fn grounds(
        &mut self,
        draft: &mut Draft,
        maker: &Maker,
        new: &NewTask,
        op: OpId,
    ) -> Result<Grounds, CommandError> {
        let (agent, owner, giver) = match maker {
            Maker::Seen(sight) => {
                let owner = match sight {
                    Sight::Tenant => None,
                    Sight::Agent(name, incarnation) => Some((name.clone(), *incarnation)),
                };
                (self.agent(draft, &new.assignee).await?, owner, None)
            }
            Maker::Run(run) => {
                let run = self.run(draft, *run).await?;
                let sender = self.agent(draft, &run.agent).await?;
                let agent = self.receiver(draft, &sender, &new.assignee).await?;
                let giver = self.giver(&run).await?;
                (
                    agent,
                    Some((run.agent.clone(), run.agent_incarnation)),
                    Some(giver),
                )
            }
        };
        let sight = match (&owner, maker) {
            (Some((name, incarnation)), _) => Sight::Agent(name.clone(), *incarnation),
            (None, Maker::Seen(_) | Maker::Run(_)) => Sight::Tenant,
        };
        let (open, undone) = self.dependencies(&sight, new).await?;
        // Nothing is refused from here on.
        for id in &open {
            self.follow(*id, op);
        }
        if let Some(giver) = &giver {
            self.follow(giver.parent, op);
            let known = self
                .trees
                .get_mut(&giver.root)
                .expect("it was read for the giver");
            known.tree.open += 1;
            known.tree.total += 1;
        }
        for id in &new.after {
            self.tasks.get_mut(id).expect("it was read").is_used = true;
        }
        Ok(Grounds {
            agent,
            owner,
            giver,
            open,
            undone,
        })
    }

    async fn agent(&mut self, draft: &mut Draft, name: &AgentName) -> Result<Versioned<Agent>, CommandError> {
        if let Some(agent) = self.present.get(name) {
            return Ok(agent.clone());
        }
        let agent = self.agents.require(draft, name).await?;
        self.present.insert(name.clone(), agent.clone());
        Ok(agent)
    }

    /// Who gets a task that is given away: one that the sender names, or the sender itself.
    async fn receiver(
        &mut self,
        draft: &mut Draft,
        sender: &Versioned<Agent>,
        name: &AgentName,
    ) -> Result<Versioned<Agent>, CommandError> {
        if *name != sender.name && !sender.config.delegates_to.contains(name) {
            let what = format!("agent {} may not give tasks to {name}", sender.name);
            return Err(CommandError::Forbidden { what });
        }
        let undeliverable = |why| CommandError::Undeliverable {
            agent: name.clone(),
            why,
        };
        match self.agent(draft, name).await {
            Err(CommandError::NotFound { .. }) => Err(undeliverable("there is no such agent")),
            Err(CommandError::AgentDeleting { .. }) => Err(undeliverable("it is being deleted")),
            agent => agent,
        }
    }

    async fn run(&mut self, draft: &mut Draft, id: RunId) -> Result<Versioned<Run>, CommandError> {
        if let Some(run) = self.runs.get(&id) {
            return Ok(run.clone());
        }
        let run = expect_live(self.core, draft, id, "delegate").await?;
        self.runs.insert(id, run.clone());
        Ok(run)
    }

    async fn giver(&mut self, run: &Run) -> Result<Giver, CommandError> {
        let Some(parent) = run.task else {
            let what = format!("run {} has no task that could wait for another", run.id);
            return Err(CommandError::Forbidden { what });
        };
        self.known(parent, &Sight::Tenant).await?;
        let above = Records::<Delegation>::new(&self.core.space).get(&parent).await?;
        let (root, depth) = above.map_or((parent, 1), |above| (above.root, above.depth + 1));
        if depth > TREE_DEPTH_MAX {
            let limit = "tasks.depth_max";
            return Err(CommandError::TreeFull { root, limit });
        }
        if let Some(limit) = self.tree(root).await?.limit() {
            return Err(CommandError::TreeFull { root, limit });
        }
        Ok(Giver {
            parent,
            root,
            depth,
            agent: run.agent.clone(),
            agent_incarnation: run.agent_incarnation,
        })
    }

    async fn tree(&mut self, root: TaskId) -> Result<&Tree, CommandError> {
        Ok(match self.trees.entry(root) {
            Entry::Occupied(known) => &known.into_mut().tree,
            Entry::Vacant(free) => {
                let read = Records::<Tree>::new(&self.core.space).get(&root).await?;
                let tree = read.as_deref().cloned().unwrap_or_else(|| Tree::new(root));
                &free.insert(KnownTree { read, tree }).tree
            }
        })
    }

    /// What of its dependencies is open, and the first that was not done and matters.
    async fn dependencies(
        &mut self,
        sight: &Sight,
        new: &NewTask,
    ) -> Result<(Vec<TaskId>, Option<TaskId>), CommandError> {
        let (mut open, mut undone) = (Vec::new(), None);
        for id in &new.after {
            match DependencyEnd::of(&self.known(*id, sight).await?.state) {
                None if !open.contains(id) => open.push(*id),
                Some(DependencyEnd::NotDone) if undone.is_none() => undone = Some(*id),
                None | Some(DependencyEnd::Done | DependencyEnd::NotDone) => {}
            }
        }
        Ok((open, undone))
    }

    async fn known(&mut self, id: TaskId, sight: &Sight) -> Result<&Versioned<Task>, CommandError> {
        let missing = || CommandError::not_found("task", &id);
        let known = match self.tasks.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let read = Records::<Task>::new(&self.core.space).get(&id).await?;
                free.insert(Known {
                    read: read.ok_or_else(missing)?,
                    followed_by: None,
                    is_used: false,
                })
            }
        };
        if sight.sees(&known.read) {
            Ok(&known.read)
        } else {
            Err(missing())
        }
    }

    fn follow(&mut self, id: TaskId, op: OpId) {
        let known = self.tasks.get_mut(&id).expect("it was read");
        known.is_used = true;
        known.followed_by.get_or_insert(op);
    }

    /// Stages what is expected of the rows, and what changes in them: whom others follow now knows that, so that its end
    /// is told to them, also an end that is decided at the same moment.
    pub(super) async fn stage(self, draft: &mut Draft) -> Result<(), CommandError> {
        let tasks = Records::<Task>::new(&self.core.space);
        for known in self.tasks.into_values().filter(|known| known.is_used) {
            match known.followed_by {
                Some(op) if !known.read.has_followers => {
                    let task = Task {
                        has_followers: true,
                        updated_at: draft.now(),
                        op,
                        ..Task::clone(&known.read)
                    };
                    tasks.stage_replace(draft.batch(), &known.read, &task).await?;
                }
                _ => tasks.stage_check(draft.batch(), &known.read),
            }
        }
        let trees = Records::<Tree>::new(&self.core.space);
        for KnownTree { read, tree } in self.trees.into_values() {
            match read {
                None if tree.total > 0 => trees.stage_create(draft.batch(), &tree)?,
                None => {}
                Some(read) => trees.stage_replace(draft.batch(), &read, &tree).await?,
            }
        }
        Ok(())
    }
}
