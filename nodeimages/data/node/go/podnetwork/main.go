// Command podnetwork is the pod network of a cluster whose nodes share one layer 2 network: it runs on each node, routes
// every other node's range of pod addresses to that node, and tells the container runtime this node's own range.
//
// The runtime learns the range last, after the API has answered at its service's address: until then the node is not
// ready, so that no pod starts that could not reach the API.
//
// Environment: NODE_NAME, the node's name in the API, and POD_SUBNET, the addresses of all pods in CIDR form.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	conflist = "/etc/cni/net.d/10-pod-network.conflist"
	protocol = 179 // marks our routes: what no longer belongs to a node is removed
	chain    = "POD-NETWORK"
)

// The form of CNI's network configuration lists: https://www.cni.dev/docs/spec/
const template = `{
  "cniVersion": "0.4.0",
  "name": "pod-network",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{"subnet": "%s"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv("NODE_NAME"), os.Getenv("POD_SUBNET")); err != nil {
		log.Fatal(err)
	}
}

// run applies every change of the nodes until ctx ends.
func run(ctx context.Context, node, subnet string) error {
	if err := masquerade(subnet); err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	api, err := client.NewForConfig(config)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	nodes, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(api.RESTClient(), "nodes", "", fields.Everything()),
		ObjectType:    &corev1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		},
	})
	go informer.RunWithContext(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			if err := apply(node, nodes.List()); err != nil {
				return err // the kubelet starts us again, later each time
			}
		}
	}
}

// apply sets the routes to the other nodes, and the range of node in the runtime's configuration.
func apply(node string, found []any) error {
	wanted := map[string]net.IP{}
	own := ""
	for _, item := range found {
		other := item.(*corev1.Node)
		if other.Name == node {
			own = other.Spec.PodCIDR
		} else if address := internal(other); address != nil && other.Spec.PodCIDR != "" {
			wanted[other.Spec.PodCIDR] = address
		}
	}
	if err := route(wanted); err != nil {
		return err
	}
	if own == "" {
		return nil // the controller manager has not given it one yet
	}
	return write(fmt.Sprintf(template, own))
}

func internal(node *corev1.Node) net.IP {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return net.ParseIP(address.Address).To4()
		}
	}
	return nil
}

// route makes our routes those in wanted: from a range to the node that has it.
func route(wanted map[string]net.IP) error {
	existing, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, one := range existing {
		if address, ok := wanted[one.Dst.String()]; ok && address.Equal(one.Gw) {
			delete(wanted, one.Dst.String())
		} else if !ok {
			if err := netlink.RouteDel(&one); err != nil {
				return fmt.Errorf("delete the route to %s: %w", one.Dst, err)
			}
			log.Printf("no route to %s any more", one.Dst)
		}
	}
	for subnet, address := range wanted {
		_, destination, err := net.ParseCIDR(subnet)
		if err != nil {
			return err
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: address, Protocol: protocol}); err != nil {
			return fmt.Errorf("route %s to %s: %w", subnet, address, err)
		}
		log.Printf("route %s to %s", subnet, address)
	}
	return nil
}

// write replaces the runtime's configuration if it differs: a reader never sees half of it.
func write(text string) error {
	if existing, err := os.ReadFile(conflist); err == nil && string(existing) == text {
		return nil
	}
	unfinished := filepath.Join(filepath.Dir(conflist), ".pod-network") // the runtime reads names that end in .conflist
	if err := os.WriteFile(unfinished, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(unfinished, conflist); err != nil {
		return err
	}
	log.Printf("wrote %s", conflist)
	return nil
}

// masquerade gives packets that leave the pods' addresses the node's own: nothing else routes back to a pod.
func masquerade(subnet string) error {
	if _, _, err := net.ParseCIDR(subnet); err != nil {
		return fmt.Errorf("POD_SUBNET: %w", err)
	}
	rules := strings.Join([]string{
		"*nat",
		":" + chain + " - [0:0]", // also empties it
		"-A " + chain + " -d " + subnet + " -j RETURN",
		"-A " + chain + " ! -d 224.0.0.0/4 -j MASQUERADE --random-fully",
		"COMMIT", "",
	}, "\n")
	restore := exec.Command("iptables-restore", "--noflush", "--wait")
	restore.Stdin = strings.NewReader(rules)
	if output, err := restore.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables-restore: %w: %s", err, output)
	}
	jump := []string{"--wait", "-t", "nat", "-C", "POSTROUTING", "-s", subnet, "-j", chain}
	if exec.Command("iptables", jump...).Run() == nil {
		return nil
	}
	jump[3] = "-A"
	if output, err := exec.Command("iptables", jump...).CombinedOutput(); err != nil {
		return fmt.Errorf("iptables: %w: %s", err, output)
	}
	return nil
}
