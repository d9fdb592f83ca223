use super::*;

fn record(kind: u8, payload: usize) -> Vec<u8> {
    let length = u16::try_from(payload).unwrap().to_le_bytes();
    let mut bytes = vec![9, 9, 9, 9, length[0], length[1], kind];
    bytes.resize(HEADER_BYTES + payload, 5);
    bytes
}

#[test]
fn a_recycled_record_is_found_wherever_it_stands() {
    let mut log = Vec::new();
    // Ends 3 bytes before the first block does: too few for a header, so the next one begins the next block.
    log.extend(record(1, 100));
    log.extend(record(2, BLOCK_BYTES - 3 - 2 * HEADER_BYTES - 100));
    log.extend([5; 3]);
    log.extend(record(4, 50));
    assert_eq!(walk(log.as_slice()).unwrap(), None);
    let end = log.len() as u64;
    for kind in RECYCLED {
        let mut log = log.clone();
        log.extend(record(kind, 10));
        log.extend(record(1, 10));
        assert_eq!(walk(log.as_slice()).unwrap(), Some((end, kind)));
    }
}

#[test]
fn a_log_cut_anywhere_is_walked_to_its_end() {
    let log = [record(1, 20), record(1, 0), record(1, 20)].concat();
    for bytes in 0..=log.len() {
        assert_eq!(walk(&log[..bytes]).unwrap(), None);
    }
}
