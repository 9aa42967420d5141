//! A rewrite changes the updated cells and not one byte more, and is read back as the table that was
//! meant.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{decode, records, rewrite};

fuzz_target!(|input: (Vec<u8>, Vec<(u8, bool, String)>)| {
    let (body, updates) = input;
    let sheet = [b"K;A;B\n".as_slice(), &body].concat();
    let Some(old) = records(&sheet, b';') else {
        return;
    };
    let key = |record: &(_, Vec<std::ops::Range<usize>>)| decode(&sheet[record.1[0].clone()]);
    let keys: Vec<String> = old[1..]
        .iter()
        .filter_map(|record| String::from_utf8(key(record)).ok())
        .map(|key| key.trim().to_owned())
        .collect();
    if keys.len() + 1 != old.len() || keys.is_empty() {
        return;
    }
    let mut meant: BTreeMap<(String, usize), String> = BTreeMap::new();
    let mut list = Vec::new();
    for (row, second, value) in updates.into_iter().take(8) {
        let key = keys[row as usize % keys.len()].clone();
        if key.is_empty() || value.contains('\0') {
            continue;
        }
        list.push((
            key.clone(),
            if second { "B" } else { "A" }.to_owned(),
            value.clone(),
        ));
        meant.insert((key, 1 + usize::from(second)), value);
    }
    let Some(next) = rewrite(&sheet, &list) else {
        return;
    };
    let new = records(&next, b';').expect("what was written can be read");
    assert_eq!(new.len(), old.len());
    assert_eq!(next[..new[0].0.end], sheet[..old[0].0.end]);
    for (i, key) in keys.iter().enumerate() {
        let (old, new) = (&old[i + 1], &new[i + 1]);
        let updated = |column| {
            meant
                .get(&(key.clone(), column))
                .filter(|_| !key.is_empty())
        };
        if (1..3).all(|column| updated(column).is_none()) {
            assert_eq!(sheet[old.0.clone()], next[new.0.clone()]);
        }
        for column in 0..old.1.len().max(new.1.len()) {
            let was = old.1.get(column).map(|field| &sheet[field.clone()]);
            let is = new.1.get(column).map(|field| &next[field.clone()]);
            match updated(column) {
                Some(value) => assert_eq!(is.map_or(Vec::new(), decode), value.as_bytes()),
                None if was.is_some() => assert_eq!(was, is),
                None => assert_eq!(is.map_or(Vec::new(), decode), b""),
            }
        }
    }
});
