use super::*;

#[test]
fn v1_tells_operations_and_bytes_of_each_disk_and_of_all() {
    let serviced =
        "8:0 Read 3\n8:0 Write 1\n8:0 Sync 4\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 4\nTotal 4\n";
    let bytes = "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\nodd line\n8:x Read 1\n";
    let found = v1(serviced, bytes);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].device, found[0].serviced.total), (None, Some(4)));
    assert_eq!(found[1].device, Some((8, 0)));
    let counted = Operations {
        read: Some(3),
        write: Some(1),
        sync: Some(4),
        r#async: Some(0),
        discard: Some(0),
        total: Some(4),
    };
    assert_eq!(found[1].serviced, counted);
    assert_eq!(
        (found[1].bytes.read, found[1].bytes.write),
        (Some(4096), None)
    );
    assert!(v1("", "").is_empty());
}

#[test]
fn v2_tells_it_in_one_line_a_disk_and_the_sums_are_ours() {
    let found = v2(
        "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\nbroken\n8:0 rbytes=512 rios=1\n",
    );
    let [all, disk, other] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((disk.device, other.device), (Some((254, 0)), Some((8, 0))));
    assert_eq!(
        (disk.serviced.read, disk.serviced.write, disk.serviced.total),
        (Some(1), Some(2), Some(3))
    );
    assert_eq!(
        (disk.bytes.read, disk.bytes.discard, disk.bytes.total),
        (Some(4096), Some(0), Some(12_288))
    );
    let sums = |total| Operations {
        total: Some(total),
        ..Operations::default()
    };
    assert_eq!(all.device, None);
    assert_eq!((all.serviced, all.bytes), (sums(4), sums(12_800)));
    assert!(v2("").is_empty());
}
