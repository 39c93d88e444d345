// One candidate with Curator's LeaderSelector, as Clojure's slacker servers stand in an election.
//
// java Candidate <connect string> <path> <yield>: prints "sees <ids of all candidates, in order>; leader <id>" whenever
// that changes, and "leads" when it leads. It yields, and stands again as the last, when a node <yield> exists, which it
// deletes.

import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.retry.RetryOneTime;

public class Candidate {
    public static void main(String[] args) throws Exception {
        String yield = args[2];
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(args[0]).sessionTimeoutMs(2_000)
                .connectionTimeoutMs(10_000).retryPolicy(new RetryOneTime(100)).build();
        client.start();
        client.blockUntilConnected();
        LeaderSelector selector = new LeaderSelector(client, args[1], new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework ignored) throws Exception {
                System.out.println("leads");
                while (client.checkExists().forPath(yield) == null) {
                    Thread.sleep(20);
                }
                client.delete().forPath(yield);
            }
        });
        selector.setId("curator");
        selector.autoRequeue();
        selector.start();
        String seen = "";
        while (true) {
            String now = selector.getParticipants().stream().map(Participant::getId).collect(Collectors.joining(" "))
                    + "; leader " + selector.getLeader().getId();
            if (!now.equals(seen)) {
                System.out.println("sees " + now);
                seen = now;
            }
            Thread.sleep(20);
        }
    }
}
