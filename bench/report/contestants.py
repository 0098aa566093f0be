"""Who takes part in the hand-over: what each does, and why it is faster or slower than ours where it is."""

OURS = {
    "sluice_reader": ("ring, read alone",
                      "`ring_reader` on the main ring: what the queues below do, no more. In place; room given back every "
                      "512 records at most"),
    "sluice_slack_2000": ("merge, margin 2 us",
                          "the whole consumer, in order over both lanes of the CPU, a record is final 2 us after its time"),
    "sluice_slack_50000": ("merge, margin 50 us", "the same with the driver's default margin"),
    "sluice_exact": ("merge, exact",
                     "the whole consumer with a barrier on all processors (`membarrier`) in every pass"),
}

PEERS = {
    "boost_push": ("boost, push", "`boost::lockfree::spsc_queue::push(event)`; popped up to 256 at once"),
    "boost_range_8": ("boost, range of 8", "the producer collects 8 events and pushes the range; popped up to 256 at once"),
    "boost_range_32": ("boost, range of 32", "32 events"),
    "boost_range_128": ("boost, range of 128", "128 events"),
    "boost_range_512": ("boost, range of 512", "512 events"),
    "moodycamel": ("moodycamel", "`ReaderWriterQueue::try_enqueue`, `try_dequeue`: no batched pop"),
    "ck_ring": ("ck_ring", "Concurrency Kit's ring by value, spsc; no batched pop"),
    "wfcqueue": ("wfcqueue",
                 "liburcu's list with a wait-free enqueue (one exchange); the consumer splices everything and walks it. "
                 "Nodes from a fixed array, no allocation"),
    "queued_lock_ring": ("ring behind a queued lock",
                         "one ring behind an MCS lock, as with KeAcquireInStackQueuedSpinLock; stamp and copy under the "
                         "lock; up to 64 events copied out at once. Our rendering"),
    "locked_list": ("mutex and list",
                    "`std::mutex`, an allocation per event; the consumer takes the whole list and frees each event. Our "
                    "rendering"),
}

RANGE = ("it publishes once for a whole range, and writes the range in one burst, so that its lines are on their way together; "
         "the first event waits for the last")

# Said where a peer costs less per event than the best of ours.
WHY_FASTER = {
    "boost_push": "it carries 72 bytes where we carry 80 (type, length and state of a record), publishes one index and has "
                  "no account, no critical part and no record states; its events can only be of one size and cannot be "
                  "left open",
    "boost_range_8": RANGE,
    "boost_range_32": RANGE,
    "boost_range_128": RANGE,
    "boost_range_512": RANGE,
    "moodycamel": "it carries 72 bytes where we carry 80, and has no account and no record states",
    "ck_ring": "it carries 72 bytes where we carry 80, and has no account and no record states",
    "wfcqueue": "its consumer takes everything with one exchange and its producer reads no word of the consumer's",
    "queued_lock_ring": "its consumer keeps the producer out while it copies, so that lines move in bursts",
    "locked_list": "its consumer takes everything at once, and each event lies in memory of its own",
}


def title_of(name):
    return (OURS.get(name) or PEERS.get(name) or (name, ""))[0]
