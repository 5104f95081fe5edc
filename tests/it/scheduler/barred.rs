//! Work that some processes have no right to do, such as removing images with a worker's role.

use super::*;

pub async fn what_a_process_has_no_right_to_do_is_left_to_others_for_ever(home: impl Home) {
    let store = home.open().await;
    let slots = past_slots(&store, &daily(), 3).await;
    store.set_schedule(&daily(), Some(slots[0])).await.unwrap();
    let barred = || NotedWork { barred: true, ..NotedWork::default() };
    let (worker, _) = process(&store, &[daily()], barred());
    for _ in 0..3 {
        assert_eq!(run_due(&worker).await, 0);
        wait(LONG).await;
    }
    let own = vec![daily()];
    let alone = Scheduler::new(store.clone(), Arc::new(barred()), "me".into(), own, false);
    assert_eq!((run_due(&alone).await, runs(&store).await), (0, Vec::new()), "nothing failed");
    let now = worker.run_now(&daily().name, &CancellationToken::new()).await;
    assert!(now.unwrap_err().to_string().contains("it may not"));
    let (owner, work) = process(&store, &[daily()], NotedWork::default());
    assert_eq!(run_due(&owner).await, 1);
    assert_eq!(work.slots(), [("daily".to_owned(), *slots.last().unwrap())]);

    let weekly = schedule("weekly", "30 2 * * *", "Europe/Berlin");
    died(&home, &store, &weekly).await;
    let (worker, _) = process(&store, &[weekly], barred());
    for _ in 0..2 {
        assert_eq!(run_due(&worker).await, 0, "nor is a silent run taken over");
        wait(LONG * 61).await;
    }
}
