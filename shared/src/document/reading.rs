//! Values out of documents: single fields, records, long texts, each with who wrote it and when. Readers
//! union over conflicting maps of one key, so that nothing vanishes by arrival order.

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue, Value as AutomergeValue};

use crate::document::schema::{self, Content, Field, Place, Records, Scalar, schema};
use crate::document::{ChangeInfo, Document, Kind};
use crate::id::{ActorId, ChangeHash, DocId, PersonId};
use crate::order;
use crate::sorted::Map;
use crate::time::{Quality, Recorded, UtcMillis};

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// The change that wrote it.
    pub change: ChangeHash,
    /// The actor that wrote it.
    pub actor: ActorId,
    /// When its writer's device says it was recorded.
    pub at: UtcMillis,
}

/// One record of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// Its id.
    pub id: String,
    /// The shown value of each field that has one.
    pub fields: Map<&'static str, Scalar>,
    /// The change that made the record.
    pub change: Option<ChangeHash>,
    /// The actor that made the record.
    pub actor: Option<ActorId>,
    /// When its maker's device says it was recorded.
    pub at: Option<UtcMillis>,
    /// The counter of the operation that made it: records in order of adding are sorted by this, then by
    /// actor.
    pub order: (u64, Vec<u8>),
}

impl RecordEntry {
    /// A field's text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.fields.get(key) {
            Some(Scalar::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// A field's number.
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.fields.get(key) {
            Some(Scalar::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// A field's yes or no; absent is no.
    pub fn is(&self, key: &str) -> bool {
        matches!(self.fields.get(key), Some(Scalar::Bool(true)))
    }
}

impl Document {
    /// What the document is, if it says so.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_word(&self.plain(schema::KIND)?)
    }

    /// The person who owns the fact; none for shared descriptions.
    pub fn author(&self) -> Option<PersonId> {
        self.text_of(schema::AUTHOR)?.parse().ok()
    }

    /// The customer that the fact is about; none for the card itself.
    pub fn customer(&self) -> Option<DocId> {
        self.text_of(schema::CUSTOMER)?.parse().ok()
    }

    /// The visit that a comment is about.
    pub fn about(&self) -> Option<DocId> {
        self.text_of(schema::ABOUT)?.parse().ok()
    }

    /// The schema version that the document was last brought to.
    pub fn schema_version(&self) -> Option<u16> {
        self.int_of(schema::SCHEMA)?.try_into().ok()
    }

    /// When the document was recorded first, as its writer's device says.
    pub fn recorded(&self) -> Option<Recorded> {
        let [at, device, quality, offset] = schema::RECORDED;
        Some(Recorded {
            at: UtcMillis(self.int_of(at)?),
            device: UtcMillis(self.int_of(device)?),
            quality: match self.int_of(quality)? {
                0 => Quality::Ok,
                1 => Quality::Estimated,
                _ => Quality::Suspect,
            },
            offset_minutes: self.int_of(offset)?.try_into().ok()?,
        })
    }

    /// The shown value of a single-valued field. Long texts come as text.
    pub fn value_of(&self, key: &str) -> Option<Scalar> {
        let field = schema(self.kind()?).field(key)?;
        self.values_in(&[automerge::ROOT], field).into_iter().next().map(|(value, _)| value)
    }

    /// The shown text of a single-valued field of words, choices, ids, times or long text.
    pub fn text_of(&self, key: &str) -> Option<String> {
        let shown = match self.shown(key) {
            Some((AutomergeValue::Scalar(scalar), _)) => scalar.as_str().map(str::to_owned),
            Some((AutomergeValue::Object(ObjType::Text), object)) => self.inner.text(&object).ok(),
            _ => None,
        };
        if let Some(text) = shown.filter(|text| !text.is_empty()) {
            return Some(text);
        }
        // An empty text may stand beside one that is not, and a field may stand under a former key.
        match self.value_of(key)? {
            Scalar::Str(text) => Some(text),
            Scalar::Int(_) | Scalar::Bool(_) => None,
        }
    }

    /// The shown number of a single-valued field.
    pub fn int_of(&self, key: &str) -> Option<i64> {
        match self.shown(key)? {
            (AutomergeValue::Scalar(scalar), _) => scalar.as_i64(),
            _ => None,
        }
    }

    /// Every value that stands in a single-valued field, the shown one first, each distinct value once.
    /// More than one is a clash.
    pub fn values(&mut self, path: &str) -> Vec<Written<Scalar>> {
        let Some(kind) = self.kind() else { return Vec::new() };
        let (objects, field) = match schema(kind).place(path) {
            Some(Place::Field(field)) => (vec![automerge::ROOT], field),
            Some(Place::RecordField { records, id, field }) => (self.record_objects(records, id), field),
            Some(Place::Record { .. }) | None => return Vec::new(),
        };
        let mut written: Vec<Written<Scalar>> = Vec::new();
        for (value, op) in self.values_in(&objects, field) {
            if written.iter().any(|earlier| earlier.value == value) {
                continue;
            }
            if let Some(info) = self.origin(&op) {
                written.push(Written { value, change: info.hash, actor: info.actor, at: info.at });
            }
        }
        written
    }

    /// The paths of all fields that hold more than one distinct value.
    pub fn clashing_paths(&self) -> Vec<String> {
        let all = self.all_values().into_iter();
        all.filter(|(_, values)| values.iter().any(|value| *value != values[0]))
            .map(|(path, _)| path)
            .collect()
    }

    /// The shown value of every field that people fill in and of a void, by path, as text.
    pub fn texts(&self) -> Map<String, String> {
        let mut texts = Map::default();
        for (path, values) in self.all_values() {
            if let Some(shown) = values.first() {
                texts.insert(path, shown.to_string());
            }
        }
        texts
    }

    /// All values of all such fields by path, the shown one first; one walk over the document.
    fn all_values(&self) -> Vec<(String, Vec<Scalar>)> {
        let mut all: Map<String, Vec<(usize, Scalar)>> = Map::default();
        let Some(kind) = self.kind() else { return Vec::new() };
        let table = schema(kind);
        for (key, values) in self.root() {
            if let Some(field) = table.find(key).filter(|field| field.typed || field.key.starts_with("void_"))
            {
                let slot = all.or_default(field.key.to_owned());
                self.collect(slot, field, key, values);
            }
        }
        for records in table.records {
            for (id, objects) in self.record_map(records) {
                for object in objects {
                    for (key, values) in self.standing(&object) {
                        if let Some(field) = records.find(&key) {
                            let slot = all.or_default(format!("{}/{id}/{}", records.key, field.key));
                            self.collect(slot, field, &key, &values);
                        }
                    }
                }
            }
        }
        let by_key_first = |mut values: Vec<(usize, Scalar)>| {
            order::sort_by_key(&mut values, |(former, _)| *former);
            values.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        let all = all.into_iter().map(|(path, values)| (path, by_key_first(values)));
        all.filter(|(_, values)| !values.is_empty()).collect()
    }

    fn collect(&self, slot: &mut Vec<(usize, Scalar)>, field: &Field, key: &str, values: &[Standing]) {
        let former = field.formerly.iter().position(|former| *former == key).map_or(0, |index| index + 1);
        let scalars = values.iter().filter_map(|(value, op)| self.scalar(value, op, field));
        slot.extend(scalars.map(|scalar| (former, scalar)));
    }

    /// The records of a map, in order of adding.
    pub fn records(&mut self, key: &str) -> Vec<RecordEntry> {
        let mut entries = self.brief_records(key);
        for (entry, objects) in &mut entries {
            let origins = objects.iter().filter_map(|object| self.origin(object));
            if let Some(origin) = origins.min_by_key(|info| info.max_op) {
                entry.change = Some(origin.hash);
                entry.actor = Some(origin.actor);
                entry.at = Some(origin.at);
            }
        }
        entries.into_iter().map(|(entry, _)| entry).collect()
    }

    /// The records of a map, in order of adding, without who made them and when.
    pub fn records_without_origin(&self, key: &str) -> Vec<RecordEntry> {
        self.brief_records(key).into_iter().map(|(entry, _)| entry).collect()
    }

    fn brief_records(&self, key: &str) -> Vec<(RecordEntry, Vec<ObjId>)> {
        let Some(records) = self.kind().and_then(|kind| schema(kind).records(key)) else { return Vec::new() };
        let mut entries = Vec::new();
        for (id, objects) in self.record_map(records) {
            let mut shown: Map<&'static str, (usize, Scalar)> = Map::default();
            for object in &objects {
                for (key, values) in self.standing(object) {
                    let Some(field) = records.find(&key) else { continue };
                    let former =
                        field.formerly.iter().position(|former| *former == key).map_or(0, |index| index + 1);
                    if shown.get(field.key).is_some_and(|(present, _)| *present <= former) {
                        continue;
                    }
                    if let Some(scalar) = values.iter().find_map(|(value, op)| self.scalar(value, op, field))
                    {
                        shown.insert(field.key, (former, scalar));
                    }
                }
            }
            let mut fields = Map::default();
            fields.extend(shown.into_iter().map(|(key, (_, scalar))| (key, scalar)));
            let order = objects.iter().map(op_order).min().unwrap_or_default();
            entries.push((RecordEntry { id, fields, change: None, actor: None, at: None, order }, objects));
        }
        order::sort_by(&mut entries, |(one, _), (other, _)| {
            one.order.cmp(&other.order).then_with(|| one.id.cmp(&other.id))
        });
        entries
    }

    /// How many records a map holds.
    pub fn record_count(&self, key: &str) -> usize {
        match self.kind().and_then(|kind| schema(kind).records(key)) {
            Some(records) => self.record_ids(records).len(),
            None => 0,
        }
    }

    /// The change that voided the fact, if it is void.
    pub fn void_change(&mut self) -> Option<ChangeInfo> {
        let (_, op) = self.shown(schema::VOID_REASON)?;
        self.origin(&op)
    }

    /// Whether the fact is void.
    pub fn is_void(&self) -> bool {
        self.text_of(schema::VOID_REASON).is_some()
    }

    /// Whether the fact is void and was changed without knowledge of that, or after it (S5).
    pub fn is_edited_after_void(&mut self) -> bool {
        match self.void_change() {
            Some(void) => !self.inner.get_changes_meta(&[automerge::ChangeHash(void.hash.0)]).is_empty(),
            None => false,
        }
    }

    fn plain(&self, key: &str) -> Option<String> {
        match self.shown(key)? {
            (AutomergeValue::Scalar(scalar), _) => scalar.as_str().map(str::to_owned),
            _ => None,
        }
    }

    /// Reads the root map as a whole, so that single values need no search of their own until the next write: a
    /// search takes 3 µs, the walk over a visit's 25 keys as much as five of them.
    pub(crate) fn read_ahead(&self) {
        self.root();
    }

    /// Every key of the root with all values that stand there, the shown one first.
    pub(super) fn root(&self) -> &[(String, Vec<Standing>)] {
        self.root.get_or_init(|| self.standing(&automerge::ROOT))
    }

    fn root_read(&self, key: &str) -> Option<&[Standing]> {
        let found = self.root.get()?.iter().find(|(present, _)| present == key);
        Some(found.map_or(&[], |(_, values)| values))
    }

    /// The value that is shown under a key of the root.
    pub(super) fn shown(&self, key: &str) -> Option<Standing> {
        if let Some(values) = self.root_read(key) {
            return values.first().cloned();
        }
        let (value, op) = self.inner.get(automerge::ROOT, key).ok()??;
        Some((value.into_owned(), op))
    }

    /// All values that stand under a key of a map, the shown one first.
    pub(super) fn standing_at(&self, object: &ObjId, key: &str) -> Vec<Standing> {
        if *object == automerge::ROOT
            && let Some(values) = self.root_read(key)
        {
            return values.to_vec();
        }
        // `get` shows the last of `get_all`: the one with the greatest operation id.
        let all = self.inner.get_all(object, key).unwrap_or_default();
        all.into_iter().rev().map(|(value, op)| (value.into_owned(), op)).collect()
    }

    /// The change in which an operation was made.
    fn origin(&mut self, op: &ObjId) -> Option<ChangeInfo> {
        let hash = self.inner.hash_for_opid(op)?;
        self.change(&ChangeHash(hash.0))
    }

    /// All values of a field over the given conflicting objects and over its former keys, the shown one first.
    pub(super) fn values_in(&self, objects: &[ObjId], field: &Field) -> Vec<(Scalar, ObjId)> {
        let mut values = Vec::new();
        for key in std::iter::once(&field.key).chain(field.formerly) {
            for object in objects {
                for (value, op) in self.standing_at(object, key) {
                    if let Some(scalar) = self.scalar(&value, &op, field) {
                        values.push((scalar, op));
                    }
                }
            }
        }
        values
    }

    fn scalar(&self, value: &AutomergeValue<'_>, op: &ObjId, field: &Field) -> Option<Scalar> {
        match (value, field.content) {
            (AutomergeValue::Object(ObjType::Text), Content::Text { .. }) => {
                let text = self.inner.text(op).ok()?;
                (!text.is_empty()).then_some(Scalar::Str(text))
            }
            (AutomergeValue::Scalar(scalar), _) => match scalar.as_ref() {
                ScalarValue::Str(text) => Some(Scalar::Str(text.to_string())),
                ScalarValue::Int(number) => Some(Scalar::Int(*number)),
                ScalarValue::Boolean(yes) => Some(Scalar::Bool(*yes)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Every key of a map with all values that stand there, the shown one first.
    pub(super) fn standing(&self, object: &ObjId) -> Vec<(String, Vec<Standing>)> {
        let items = self.inner.map_range(object, ..);
        items
            .map(|item| {
                let values = if item.conflict {
                    let all = self.inner.get_all(object, item.key.as_ref()).unwrap_or_default();
                    all.into_iter().rev().map(|(value, op)| (value.into_owned(), op)).collect()
                } else {
                    vec![(item.value.clone().into_value(), item.id())]
                };
                (item.key.into_owned(), values)
            })
            .collect()
    }

    /// The objects of each record over all conflicting maps, by id; the shown one first.
    pub(super) fn record_map(&self, records: &Records) -> Map<String, Vec<ObjId>> {
        let mut objects: Map<String, Vec<ObjId>> = Map::default();
        for map in self.maps(&automerge::ROOT, records.key) {
            for (id, values) in self.standing(&map) {
                let maps = values.into_iter().filter(|(value, _)| is_map(value)).map(|(_, object)| object);
                objects.or_default(id).extend(maps);
            }
        }
        objects
    }

    /// Every map object that stands under a key, the shown one first.
    pub(super) fn maps(&self, parent: &ObjId, key: &str) -> Vec<ObjId> {
        self.standing_at(parent, key)
            .into_iter()
            .filter(|(value, _)| is_map(value))
            .map(|(_, object)| object)
            .collect()
    }

    /// The objects of one record, over all conflicting maps.
    pub(super) fn record_objects(&self, records: &Records, id: &str) -> Vec<ObjId> {
        let maps = self.maps(&automerge::ROOT, records.key);
        maps.iter().flat_map(|map| self.maps(map, id)).collect()
    }

    /// The ids of a map's records, sorted.
    pub(super) fn record_ids(&self, records: &Records) -> Vec<String> {
        let maps = self.maps(&automerge::ROOT, records.key);
        let mut ids: Vec<String> = maps.iter().flat_map(|map| self.inner.keys(map)).collect();
        order::sort(&mut ids);
        ids.dedup();
        ids
    }
}

/// A value and the operation that wrote it.
pub(super) type Standing = (AutomergeValue<'static>, ObjId);

pub(super) fn is_map(value: &AutomergeValue<'_>) -> bool {
    matches!(value, AutomergeValue::Object(ObjType::Map))
}

fn op_order(op: &ObjId) -> (u64, Vec<u8>) {
    match op {
        ObjId::Root => (0, Vec::new()),
        ObjId::Id(counter, actor, _) => (*counter, actor.to_bytes().to_vec()),
    }
}
