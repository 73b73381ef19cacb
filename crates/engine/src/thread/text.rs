//! What a message says: in its row as far as 64 KiB go, and in blobs beyond.

use std::collections::HashSet;

use dormouse_filesystem::blob::{BlobError, BlobId, Blobs, StagedBlob};
use dormouse_filesystem::{Namespace, Tenant};
use dormouse_secrets::Scrubbed;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::CommandError;
use crate::core::Core;
use crate::draft::Draft;
use crate::id::uuid_v7;
use crate::limits::{ATTACHMENT_NAME_MAX, ATTACHMENTS_MAX, EXTRACTED_MAX, MESSAGE_INLINE_MAX, MESSAGE_MAX};

/// A text, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeptText {
    /// In the row.
    Here(Scrubbed),
    /// In a blob that the row owns.
    Blob {
        /// Which.
        id: BlobId,
        /// Its length in bytes.
        bytes: u64,
    },
}

impl KeptText {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Here(text) => text.len() as u64,
            Self::Blob { bytes, .. } => *bytes,
        }
    }

    fn blob(&self) -> Option<BlobId> {
        match self {
            Self::Here(_) => None,
            Self::Blob { id, .. } => Some(*id),
        }
    }
}

/// What comes with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// What names it among those of the message.
    pub id: String,
    /// What it is called.
    pub name: Scrubbed,
    /// What it is, as `text/plain`.
    pub media_type: Scrubbed,
    /// What could be read of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<KeptText>,
}

/// An attachment with its text.
#[derive(Debug, Clone)]
pub(super) struct CleanAttachment {
    pub(super) id: String,
    pub(super) name: Scrubbed,
    pub(super) media_type: Scrubbed,
    pub(super) text: Option<Scrubbed>,
}

/// What a message says, its blobs written and nobody's yet.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) text: KeptText,
    pub(super) attachments: Vec<Attachment>,
    blobs: Vec<StagedBlob<Tenant>>,
}

impl Content {
    /// Checks bounds, and writes what is too large for a row.
    ///
    /// # Errors
    /// `TooLarge`, `Invalid`; as any commit.
    pub(super) async fn of(
        core: &Core,
        text: Scrubbed,
        attachments: Vec<CleanAttachment>,
    ) -> Result<Self, CommandError> {
        check(&text, &attachments)?;
        let mut keeper = Keeper {
            core,
            left: MESSAGE_INLINE_MAX,
            blobs: Vec::new(),
        };
        let text = keeper.keep(text).await?;
        let mut kept = Vec::with_capacity(attachments.len());
        for attachment in attachments {
            let text = match attachment.text {
                Some(text) => Some(keeper.keep(text).await?),
                None => None,
            };
            kept.push(Attachment {
                id: attachment.id,
                name: attachment.name,
                media_type: attachment.media_type,
                text,
            });
        }
        Ok(Self {
            text,
            attachments: kept,
            blobs: keeper.blobs,
        })
    }

    /// About how many bytes of a row it takes.
    pub(super) fn bytes(&self) -> usize {
        let attached = self.attachments.iter().flat_map(|attached| &attached.text);
        let here = |text: &KeptText| match text {
            KeptText::Here(text) => text.len(),
            KeptText::Blob { .. } => 64,
        };
        1024 + self.attachments.len() * 512 + here(&self.text) + attached.map(here).sum::<usize>()
    }

    /// Makes its blobs the row's that is staged beside it.
    pub(super) async fn attach(&self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        let blobs = Blobs::new(&core.space);
        for blob in &self.blobs {
            blobs.attach(draft.batch(), blob).await.map_err(of_blob)?;
        }
        Ok(())
    }
}

/// Keeps texts in the row while there is room.
struct Keeper<'c> {
    core: &'c Core,
    left: usize,
    blobs: Vec<StagedBlob<Tenant>>,
}

impl Keeper<'_> {
    async fn keep(&mut self, text: Scrubbed) -> Result<KeptText, CommandError> {
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.left = left;
            return Ok(KeptText::Here(text));
        }
        let (now, random) = (self.core.environment.clock.now(), &self.core.environment.random);
        let id = BlobId::new(uuid_v7(now, random).as_u128());
        let bytes = text.into_string().into_bytes();
        let size = bytes.len() as u64;
        let staged = Blobs::new(&self.core.space).stage(id, bytes, now).await;
        self.blobs.push(staged.map_err(of_blob)?);
        Ok(KeptText::Blob { id, bytes: size })
    }
}

fn check(text: &Scrubbed, attachments: &[CleanAttachment]) -> Result<(), CommandError> {
    if text.len() > MESSAGE_MAX {
        return Err(CommandError::TooLarge {
            limit: "threads.message_max",
        });
    }
    if attachments.len() > ATTACHMENTS_MAX {
        return Err(CommandError::TooLarge {
            limit: "threads.attachments_max",
        });
    }
    let mut ids = HashSet::new();
    for attachment in attachments {
        let names = [
            attachment.id.as_str(),
            attachment.name.as_str(),
            attachment.media_type.as_str(),
        ];
        let is_name = |name: &str| {
            (1..=ATTACHMENT_NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        if !names.into_iter().all(is_name) {
            let why =
                format!("id, name and media type have 1 to {ATTACHMENT_NAME_MAX} bytes without controls");
            return Err(CommandError::invalid("attachments", why));
        }
        if !ids.insert(attachment.id.as_str()) {
            return Err(CommandError::invalid(
                "attachments",
                "two of them have the same id",
            ));
        }
    }
    let extracted = attachments
        .iter()
        .filter_map(|attachment| attachment.text.as_ref())
        .map(|text| text.as_str().chars().count())
        .sum::<usize>();
    if extracted > EXTRACTED_MAX {
        return Err(CommandError::TooLarge {
            limit: "threads.extracted_max",
        });
    }
    Ok(())
}

/// A text, wherever it is.
pub(super) async fn read(space: &Namespace<Tenant>, text: &KeptText) -> Result<Scrubbed, CommandError> {
    let id = match text {
        KeptText::Here(text) => return Ok(text.clone()),
        KeptText::Blob { id, .. } => id,
    };
    let blobs = Blobs::new(space);
    let blob = blobs.get(id).await.map_err(of_blob)?;
    let blob = blob.ok_or_else(|| CommandError::Corrupt("a message's text is missing".into()))?;
    let bytes = blobs.read(&blob).await.map_err(of_blob)?;
    let text = String::from_utf8(bytes.into()).map_err(|error| CommandError::Corrupt(error.into()))?;
    // It was scrubbed when it was written, as every row's text was.
    let clean = serde_json::from_value(serde_json::Value::String(text));
    Ok(clean.expect("a text is read as a text"))
}

/// The blobs that a row owns.
pub(super) fn blobs_of(message: &Message) -> Vec<BlobId> {
    let attached = message.attachments.iter().filter_map(|it| it.text.as_ref());
    message
        .text
        .iter()
        .chain(attached)
        .filter_map(KeptText::blob)
        .collect()
}

/// Stages that the blobs of a row go, with what the row says.
pub(super) async fn stage_removed(
    core: &Core,
    draft: &mut Draft,
    message: &Message,
) -> Result<(), CommandError> {
    let blobs = Blobs::new(&core.space);
    for id in blobs_of(message) {
        if let Some(blob) = blobs.get(&id).await.map_err(of_blob)? {
            blobs.remove(draft.batch(), &blob).await.map_err(of_blob)?;
        }
    }
    Ok(())
}

/// Gives the space of removed blobs back at once. What cannot be done now the next sweep does.
pub(super) async fn purge(core: &Core, blobs: &[BlobId]) {
    for id in blobs {
        if let Err(error) = Blobs::new(&core.space).purge(id).await {
            tracing::debug!(blob = %id, %error, "a removed blob waits for the sweep");
        }
    }
}

/// What blobs refuse, as a command's answer.
pub(super) fn of_blob(error: BlobError) -> CommandError {
    match error {
        BlobError::TooLarge { limit } => CommandError::TooLarge { limit },
        BlobError::Exists { .. } | BlobError::Removed { .. } => CommandError::LOST_RACE,
        BlobError::Corrupt { .. } | BlobError::Range { .. } => CommandError::Corrupt(error.into()),
        BlobError::Record(error) => error.into(),
        BlobError::Read(error) => error.into(),
        BlobError::Commit(error) => error.into(),
    }
}
