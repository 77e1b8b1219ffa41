//! Every "no" that a rule says, by name. A refusal is an expected answer, shown to the person in both
//! languages; it is never an error of the program. The order of the variants is the order in which
//! the rules are judged: the first that says no is the answer.

use serde::{Deserialize, Serialize};

use crate::cbor::{Decode, Encode};

/// A rule that refused something. The number in the wire form never changes its meaning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Rule {
    /// The frame or the change is longer than its limit.
    #[n(0)]
    ChangeTooLarge,
    /// The bytes are no change chunk: wrong magic, checksum, length or encoding.
    #[n(1)]
    ChangeMalformed,
    /// A document, compressed or bundle chunk where a plain change is expected.
    #[n(2)]
    ChunkKindForbidden,
    /// The document does not exist or lies in a scope that this person has no grant for; the two are
    /// never told apart.
    #[n(3)]
    NotFound,
    /// The document, or the customer that it belongs to, was erased for good.
    #[n(30)]
    Erased,
    /// The grant allows reading or commenting only.
    #[n(4)]
    ReadOnly,
    /// The actor belongs to another device.
    #[n(5)]
    ActorForeign,
    /// The sequence number leaves a gap after the actor's last change in this document.
    #[n(6)]
    SequenceGap,
    /// The sequence number is taken by another change of the same actor (a cloned or restored phone).
    #[n(7)]
    SequenceReused,
    /// A dependency is not stored. The phone keeps the change and offers it again later.
    #[n(8)]
    DependencyUnknown,
    /// The author written into the change is not the person of the device, or is missing in an actor's
    /// first change.
    #[n(9)]
    AuthorForeign,
    /// The first operation's counter does not follow from the dependencies.
    #[n(10)]
    StartOpAbsurd,
    /// A fact (visit, comment) is edited by somebody who is not its author.
    #[n(11)]
    NotTheAuthor,
    /// The document is full: bytes, changes or depth.
    #[n(12)]
    DocumentTooLarge,
    /// A kind, key, type or value outside the schema.
    #[n(13)]
    SchemaViolated,
    /// The change cannot be applied, saved and loaded again, or the admission worker died on it.
    #[n(14)]
    Unloadable,
    /// The visit or comment names a customer that the document's scope does not.
    #[n(15)]
    ScopeMismatch,
    /// The customer is no longer this person's: transferred (S2).
    #[n(16)]
    Transferred,
    /// R3: code, full name, one contact and one phone must be there at acceptance.
    #[n(17)]
    AcceptanceIncomplete,
    /// The customer is accepted already and has its code.
    #[n(18)]
    AlreadyAccepted,
    /// R4: the new owner is not an active employee, or is not a rep.
    #[n(19)]
    OwnerInactive,
    /// R4: the person still owns customers; hand them over first.
    #[n(20)]
    StillOwnsCustomers,
    /// This role may not do that.
    #[n(21)]
    RoleForbidden,
    /// The late work was settled already.
    #[n(22)]
    AlreadySettled,
    /// The customer belongs to that person already.
    #[n(23)]
    AlreadyOwner,
    /// A value typed on this device is outside the schema: too long, not a number, unknown choice.
    #[n(24)]
    ValueInvalid,
    /// A fact can be voided once, and an edit of a voided fact needs its author.
    #[n(25)]
    AlreadyVoided,
    /// The smallest valid visit is a customer and one of record, photo, result.
    #[n(26)]
    VisitEmpty,
    /// The server is full, cannot write to its disk, or had nobody to judge the change; the phone keeps everything and
    /// tries again.
    #[n(27)]
    StoreUnavailable,
    /// The device holds as many documents as it may.
    #[n(28)]
    DeviceFull,
    /// The person or the device was disabled or revoked.
    #[n(29)]
    AccessEnded,
}

impl Rule {
    /// Every rule, in order of precedence.
    pub const ALL: [Rule; 31] = [
        Rule::ChangeTooLarge,
        Rule::ChangeMalformed,
        Rule::ChunkKindForbidden,
        Rule::NotFound,
        Rule::Erased,
        Rule::ReadOnly,
        Rule::ActorForeign,
        Rule::SequenceGap,
        Rule::SequenceReused,
        Rule::DependencyUnknown,
        Rule::AuthorForeign,
        Rule::StartOpAbsurd,
        Rule::NotTheAuthor,
        Rule::DocumentTooLarge,
        Rule::SchemaViolated,
        Rule::Unloadable,
        Rule::ScopeMismatch,
        Rule::Transferred,
        Rule::AcceptanceIncomplete,
        Rule::AlreadyAccepted,
        Rule::OwnerInactive,
        Rule::StillOwnsCustomers,
        Rule::RoleForbidden,
        Rule::AlreadySettled,
        Rule::AlreadyOwner,
        Rule::ValueInvalid,
        Rule::AlreadyVoided,
        Rule::VisitEmpty,
        Rule::StoreUnavailable,
        Rule::DeviceFull,
        Rule::AccessEnded,
    ];

    /// Whether the phone should keep the item and offer it again, because the answer may change without
    /// anybody editing anything.
    pub fn is_passing(self) -> bool {
        matches!(self, Rule::DependencyUnknown | Rule::StoreUnavailable)
    }

    /// Whether no phone that keeps to the protocol is ever told so: the bytes were made by hand, broken, or by a
    /// program with a fault.
    pub fn is_forgery(self) -> bool {
        matches!(
            self,
            Rule::ChangeTooLarge
                | Rule::ChangeMalformed
                | Rule::ChunkKindForbidden
                | Rule::AuthorForeign
                | Rule::StartOpAbsurd
                | Rule::SchemaViolated
                | Rule::Unloadable
        )
    }

    /// One sentence for a person, in Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Rule::ChangeTooLarge => "这次修改太大，服务器不能接收。请把长文字分几次保存。",
            Rule::ChangeMalformed => "数据在途中损坏，服务器没有接收；手机上的内容还在。",
            Rule::ChunkKindForbidden => "数据格式不被接受；手机上的内容还在。",
            Rule::NotFound => "找不到这份资料，或者您没有权限。",
            Rule::Erased => "这份资料已被永久删除，不能再保存。",
            Rule::ReadOnly => "这份资料您只能查看，不能修改。",
            Rule::ActorForeign => "这台设备的编号已被另一台设备使用；已换新编号重发。",
            Rule::SequenceGap => "这台设备的修改顺序有缺口；已重新整理后再发。",
            Rule::SequenceReused => "这台设备的数据曾被恢复或复制；已换新编号重发。",
            Rule::DependencyUnknown => "服务器还缺少前面的修改，稍后自动重发。",
            Rule::AuthorForeign => "修改署名与登录人不符，服务器没有接收。",
            Rule::StartOpAbsurd => "修改编号不合常理，服务器没有接收。",
            Rule::NotTheAuthor => "只有记录人本人可以修改这条记录，您可以写批示。",
            Rule::DocumentTooLarge => "这份资料已达到大小上限。",
            Rule::SchemaViolated => "内容里有系统不认识的项目，服务器没有接收。",
            Rule::Unloadable => "这次修改无法安全合并，服务器没有接收；手机上的内容还在。",
            Rule::ScopeMismatch => "记录与所属客户不一致，服务器没有接收。",
            Rule::Transferred => "该客户已移交。",
            Rule::AcceptanceIncomplete => "受理前须有客户全称、一位联系人和一个电话。",
            Rule::AlreadyAccepted => "该客户已受理，已有客户编号。",
            Rule::OwnerInactive => "接收人不是在职业务员。",
            Rule::StillOwnsCustomers => "此人名下还有客户，请先办理移交。",
            Rule::RoleForbidden => "您的岗位不能做这项操作。",
            Rule::AlreadySettled => "这一项已处理过。",
            Rule::AlreadyOwner => "该客户已归此人负责。",
            Rule::ValueInvalid => "填写的内容不符合要求，请检查后再保存。",
            Rule::AlreadyVoided => "这条记录已作废。",
            Rule::VisitEmpty => "请至少填写记录、照片、结果中的一项。",
            Rule::StoreUnavailable => "服务器暂时无法保存，手机会自动重试。",
            Rule::DeviceFull => "这台设备保存的资料已达上限。",
            Rule::AccessEnded => "此账号或设备已停用，请联系内勤。",
        }
    }

    /// One sentence for a person, in English.
    pub fn en(self) -> &'static str {
        match self {
            Rule::ChangeTooLarge => {
                "This edit is too large for the server. Save long texts in several steps."
            }
            Rule::ChangeMalformed => {
                "The data was damaged on the way and not accepted; it is still on the phone."
            }
            Rule::ChunkKindForbidden => "This kind of data is not accepted; it is still on the phone.",
            Rule::NotFound => "There is no such record, or you have no right to it.",
            Rule::Erased => "This record was erased for good and is not kept any more.",
            Rule::ReadOnly => "You may read this record but not change it.",
            Rule::ActorForeign => {
                "Another device uses this device's number; the edit is sent again under a new one."
            }
            Rule::SequenceGap => "This device's edits have a gap; they are put in order and sent again.",
            Rule::SequenceReused => {
                "This device was restored or copied; the edit is sent again under a new number."
            }
            Rule::DependencyUnknown => "The server lacks an earlier edit; this one is sent again by itself.",
            Rule::AuthorForeign => "The edit is signed by somebody else and was not accepted.",
            Rule::StartOpAbsurd => "The edit's numbering makes no sense and was not accepted.",
            Rule::NotTheAuthor => "Only the author may change this record; you can comment on it.",
            Rule::DocumentTooLarge => "This record has reached its size limit.",
            Rule::SchemaViolated => "The edit holds something the system does not know and was not accepted.",
            Rule::Unloadable => {
                "The edit cannot be merged safely and was not accepted; it is still on the phone."
            }
            Rule::ScopeMismatch => "The record and its customer do not agree; it was not accepted.",
            Rule::Transferred => "This customer has been transferred.",
            Rule::AcceptanceIncomplete => {
                "Before acceptance a full name, one contact and one phone are needed."
            }
            Rule::AlreadyAccepted => "This customer is accepted and has a code.",
            Rule::OwnerInactive => "The receiver is not an active sales rep.",
            Rule::StillOwnsCustomers => "This person still owns customers; transfer them first.",
            Rule::RoleForbidden => "Your role may not do this.",
            Rule::AlreadySettled => "This item was settled already.",
            Rule::AlreadyOwner => "This customer belongs to that person already.",
            Rule::ValueInvalid => "A value does not meet its rule; please check and save again.",
            Rule::AlreadyVoided => "This record is void already.",
            Rule::VisitEmpty => "Fill in at least one of record, photo, result.",
            Rule::StoreUnavailable => "The server cannot save right now; the phone tries again by itself.",
            Rule::DeviceFull => "This device holds as many records as it may.",
            Rule::AccessEnded => "This account or device was switched off; please ask your assistant.",
        }
    }
}

/// A named "no", with the field or value it is about where that helps the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, thiserror::Error)]
#[error("{}", self.rule.en())]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Refusal {
    /// The rule that said no.
    #[n(0)]
    pub rule: Rule,
    /// The field path or limit it is about; never a value that somebody typed.
    #[n(1)]
    pub about: Option<String>,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self { rule, about: None }
    }
}

impl Refusal {
    /// A refusal about one field or limit.
    pub fn about(rule: Rule, about: impl Into<String>) -> Self {
        Self { rule, about: Some(about.into()) }
    }
}
