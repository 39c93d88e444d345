// Curator's recipes, as a Clojure slacker cluster uses them, put to work against a ZooKeeper server.
//
// java CuratorChecks <connect string>: prints "ok <check>" for each check, and exits with 0 if all are.
// When it prints "please drop" or "please expire <session id>", whoever runs it cuts all connections, or ends the session.

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.Stat;

public class CuratorChecks {
    private static final long PATIENCE_MS = 20_000;

    private static String connectString;
    private static final List<CuratorFramework> clients = new CopyOnWriteArrayList<>();

    private interface Check {
        void run() throws Exception;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        connectString = args[0];
        check("configuration", CuratorChecks::configuration);
        check("transactions", CuratorChecks::transactions);
        check("rules of access", CuratorChecks::rulesOfAccess);
        check("watches removed", CuratorChecks::watchesRemoved);
        check("LeaderSelector", CuratorChecks::leaderSelector);
        check("PersistentNode", CuratorChecks::persistentNode);
        check("PersistentTtlNode", CuratorChecks::persistentTtlNode);
        check("NodeCache", CuratorChecks::nodeCache);
        check("PathChildrenCache", CuratorChecks::pathChildrenCache);
        check("TreeCache", CuratorChecks::treeCache);
        check("CuratorCache", CuratorChecks::curatorCache);
        System.exit(0);
    }

    private static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Throwable failure) {
            System.out.println("FAILED " + name);
            failure.printStackTrace();
            System.exit(1);
        } finally {
            clients.forEach(CuratorFramework::close);
            clients.clear();
        }
    }

    private static CuratorFramework client() throws Exception {
        return client(CuratorFrameworkFactory.builder());
    }

    private static CuratorFramework client(CuratorFrameworkFactory.Builder builder) throws Exception {
        CuratorFramework client = builder.connectString(connectString).sessionTimeoutMs(15_000)
                .connectionTimeoutMs(10_000).retryPolicy(new RetryOneTime(100)).build();
        clients.add(client);
        client.start();
        client.blockUntilConnected();
        return client;
    }

    private static long session(CuratorFramework client) throws Exception {
        return client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE_MS * 1_000_000;
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + PATIENCE_MS + " ms: " + what);
            }
            Thread.sleep(5);
        }
    }

    private static void same(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    private static void configuration() throws Exception {
        same("", new String(client().getConfig().forEnsemble()));
    }

    private static void transactions() throws Exception {
        CuratorFramework client = client();
        List<CuratorTransactionResult> results = client.transaction().forOperations(
                client.transactionOp().create().forPath("/tx", "1".getBytes()),
                client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/tx/s-"),
                client.transactionOp().check().withVersion(0).forPath("/tx"),
                client.transactionOp().setData().withVersion(0).forPath("/tx", "2".getBytes()),
                client.transactionOp().delete().forPath("/tx/s-0000000000"));
        same("/tx/s-0000000000", results.get(1).getResultPath());
        same(1, results.get(3).getResultStat().getVersion());
        try {
            client.transaction().forOperations(client.transactionOp().create().forPath("/tx/a"),
                    client.transactionOp().check().withVersion(7).forPath("/tx"),
                    client.transactionOp().delete().forPath("/tx"));
            throw new AssertionError("the check should fail");
        } catch (KeeperException.BadVersionException expected) {
            same(List.of(0, KeeperException.Code.BADVERSION.intValue(),
                    KeeperException.Code.RUNTIMEINCONSISTENCY.intValue()),
                    expected.getResults().stream().map(r -> ((OpResult.ErrorResult) r).getErr())
                            .collect(Collectors.toList()));
        }
        same(List.of(), client.getChildren().forPath("/tx"));
    }

    private static void rulesOfAccess() throws Exception {
        CuratorFramework joe = client(CuratorFrameworkFactory.builder().authorization("digest", "joe:secret".getBytes()));
        CuratorFramework other = client();
        joe.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/joe", "private".getBytes());
        same("private", new String(joe.getData().forPath("/joe")));
        same("digest", joe.getACL().forPath("/joe").get(0).getId().getScheme());
        try {
            other.getData().forPath("/joe");
            throw new AssertionError("this is joe's");
        } catch (KeeperException.NoAuthException expected) {
            // as it should be
        }
        joe.delete().forPath("/joe");
    }

    private static void watchesRemoved() throws Exception {
        CuratorFramework client = client();
        client.create().forPath("/watched");
        List<Object> seen = new CopyOnWriteArrayList<>();
        Watcher watcher = event -> seen.add(event.getType());
        client.watchers().add().withMode(AddWatchMode.PERSISTENT).usingWatcher(watcher).forPath("/watched");
        client.setData().forPath("/watched", "1".getBytes());
        await("the watch", () -> seen.equals(List.of(Watcher.Event.EventType.NodeDataChanged)));
        client.watchers().remove(watcher).ofType(Watcher.WatcherType.Any).forPath("/watched");
        await("its end", () -> seen.contains(Watcher.Event.EventType.PersistentWatchRemoved)
                || seen.contains(Watcher.Event.EventType.DataWatchRemoved));
        int count = seen.size();
        client.setData().forPath("/watched", "2".getBytes());
        client.sync().forPath("/watched");
        client.getData().forPath("/watched");
        same(count, seen.size());
    }

    private static LeaderSelector candidate(CuratorFramework client, String name, Map<String, CountDownLatch> terms) {
        LeaderSelector selector = new LeaderSelector(client, "/leader/mutex", new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework ignored) throws Exception {
                CountDownLatch term = new CountDownLatch(1);
                terms.put(name, term);
                try {
                    term.await();
                } finally {
                    terms.remove(name);
                }
            }
        });
        selector.setId(name);
        selector.autoRequeue();
        selector.start();
        return selector;
    }

    private static void leaderSelector() throws Exception {
        Map<String, CountDownLatch> terms = new ConcurrentHashMap<>();
        CuratorFramework one = client();
        CuratorFramework two = client();
        LeaderSelector first = candidate(one, "one", terms);
        await("one leads", () -> terms.containsKey("one"));
        LeaderSelector second = candidate(two, "two", terms);
        await("two candidates", () -> second.getParticipants().size() == 2);
        for (String node : two.getChildren().forPath("/leader/mutex")) {
            same(true, node.matches("_c_[0-9a-f-]{36}-lock-\\d{10}"));
        }
        same("one", second.getLeader().getId());

        terms.get("one").countDown();
        await("two leads after one gave up", () -> terms.containsKey("two"));
        await("one queues again", () -> second.getParticipants().size() == 2);
        System.out.println("please expire " + session(two));
        await("one leads after two's session expired", () -> terms.containsKey("one"));
        await("two notices", () -> !terms.containsKey("two"));
        await("two queues again", () -> second.getParticipants().size() == 2);
        System.out.println("please drop");
        terms.values().forEach(CountDownLatch::countDown);
        await("somebody leads after the connections dropped", () -> !terms.isEmpty());
        first.close();
        await("two leads after one left", () -> terms.containsKey("two"));
        await("nobody else", () -> second.getParticipants().size() == 1);
        second.close();
    }

    private static void persistentNode() throws Exception {
        CuratorFramework owner = client();
        CuratorFramework other = client();
        PersistentNode node = new PersistentNode(owner, CreateMode.EPHEMERAL, false, "/servers/me", "1".getBytes());
        node.start();
        await("the node", () -> other.checkExists().forPath("/servers/me") != null);
        long before = session(owner);
        same(before, other.checkExists().forPath("/servers/me").getEphemeralOwner());
        other.delete().forPath("/servers/me");
        await("the node again, after somebody deleted it", () -> other.checkExists().forPath("/servers/me") != null);
        node.setData("2".getBytes());
        await("its new data", () -> "2".equals(new String(other.getData().forPath("/servers/me"))));
        System.out.println("please expire " + before);
        await("the node under a new session", () -> {
            Stat stat = other.checkExists().forPath("/servers/me");
            return stat != null && stat.getEphemeralOwner() != before;
        });
        same("2", new String(other.getData().forPath("/servers/me")));
        node.close();
        await("its end", () -> other.checkExists().forPath("/servers/me") == null);
    }

    private static void persistentTtlNode() throws Exception {
        CuratorFramework client = client();
        PersistentTtlNode node = new PersistentTtlNode(client, "/ttl/node", 500, "1".getBytes());
        node.start();
        same(true, node.waitForInitialCreate(5, TimeUnit.SECONDS));
        await("the child that is touched", () -> client.checkExists().forPath("/ttl/node").getNumChildren() == 1);
        node.close();
        await("the container's end, after its child's", () -> client.checkExists().forPath("/ttl/node") == null);
    }

    private static void nodeCache() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        NodeCache cache = new NodeCache(client, "/node/cached");
        AtomicInteger changes = new AtomicInteger();
        cache.getListenable().addListener(changes::incrementAndGet);
        cache.start(true);
        other.create().creatingParentsIfNeeded().forPath("/node/cached", "1".getBytes());
        await("creation", () -> cache.getCurrentData() != null);
        other.setData().forPath("/node/cached", "2".getBytes());
        await("change", () -> "2".equals(new String(cache.getCurrentData().getData())));
        System.out.println("please drop");
        retrying(() -> other.setData().forPath("/node/cached", "3".getBytes()));
        await("change made around a lost connection", () -> "3".equals(new String(cache.getCurrentData().getData())));
        other.delete().forPath("/node/cached");
        await("deletion", () -> cache.getCurrentData() == null);
        same(true, changes.get() >= 4);
        cache.close();
    }

    private static void pathChildrenCache() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        List<String> seen = new CopyOnWriteArrayList<>();
        PathChildrenCache cache = new PathChildrenCache(client, "/children", true);
        cache.getListenable().addListener((ignored, event) -> {
            if (event.getData() != null) {
                seen.add(event.getType() + " " + event.getData().getPath());
            }
        });
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        other.create().forPath("/children/a", "1".getBytes());
        await("addition", () -> seen.contains("CHILD_ADDED /children/a"));
        other.setData().forPath("/children/a", "2".getBytes());
        await("update", () -> seen.contains("CHILD_UPDATED /children/a"));
        System.out.println("please drop");
        retrying(() -> other.create().orSetData().forPath("/children/b"));
        await("addition around a lost connection", () -> cache.getCurrentData().size() == 2);
        other.delete().forPath("/children/a");
        await("removal", () -> seen.contains("CHILD_REMOVED /children/a"));
        cache.close();
    }

    private static void treeCache() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        TreeCache cache = new TreeCache(client, "/tree");
        cache.start();
        other.create().creatingParentsIfNeeded().forPath("/tree/a/b", "1".getBytes());
        await("the leaf", () -> cache.getCurrentData("/tree/a/b") != null);
        other.setData().forPath("/tree/a/b", "2".getBytes());
        await("its change", () -> "2".equals(new String(cache.getCurrentData("/tree/a/b").getData())));
        System.out.println("please drop");
        retrying(() -> other.create().orSetData().forPath("/tree/c"));
        await("a node made around a lost connection", () -> cache.getCurrentData("/tree/c") != null);
        other.delete().deletingChildrenIfNeeded().forPath("/tree/a");
        await("the branch's end", () -> cache.getCurrentData("/tree/a") == null);
        cache.close();
    }

    private static void curatorCache() throws Exception {
        CuratorFramework client = client();
        CuratorFramework other = client();
        List<String> seen = new CopyOnWriteArrayList<>();
        CuratorCache cache = CuratorCache.build(client, "/cache");
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(node -> seen.add("created " + node.getPath()))
                .forChanges((before, node) -> seen.add("changed " + node.getPath()))
                .forDeletes(node -> seen.add("deleted " + node.getPath())).build());
        cache.start();
        other.create().creatingParentsIfNeeded().forPath("/cache/a/b", "1".getBytes());
        await("three nodes", () -> cache.size() == 3);
        other.setData().forPath("/cache/a/b", "2".getBytes());
        await("a change", () -> seen.contains("changed /cache/a/b"));
        System.out.println("please drop");
        retrying(() -> other.create().orSetData().forPath("/cache/c"));
        await("a node made around a lost connection", () -> cache.get("/cache/c").isPresent());
        System.out.println("please expire " + session(client));
        other.setData().forPath("/cache/c", "3".getBytes());
        await("a change around an expired session", () -> "3".equals(new String(cache.get("/cache/c").get().getData())));
        other.delete().deletingChildrenIfNeeded().forPath("/cache/a");
        await("deletions", () -> seen.contains("deleted /cache/a/b") && seen.contains("deleted /cache/a"));
        cache.close();
    }

    // The connection may break under the operation, and Curator's one retry come too soon.
    private static void retrying(Check operation) throws Exception {
        for (int tries = 1;; tries++) {
            try {
                operation.run();
                return;
            } catch (KeeperException.ConnectionLossException lost) {
                if (tries == 20) {
                    throw lost;
                }
                Thread.sleep(50);
            }
        }
    }
}
