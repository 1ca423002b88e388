// Command localpath gives volume claims folders of this node: it runs on each node, and serves the claims whose first pod
// is scheduled to its own.
//
// Environment: NODE_NAME, the node's name in the API.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v11/controller"
)

const (
	name     = "rancher.io/local-path" // kind's own: a class that names it works on pulled and on built nodes
	root     = "/var/local-path-provisioner"
	selected = "volume.kubernetes.io/selected-node" // the scheduler's annotation
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	controller.NewProvisionController(ctx, api, name, node(os.Getenv("NODE_NAME")), controller.LeaderElection(false)).Run(ctx)
}

// node is the name of the node whose folders are given; its label kubernetes.io/hostname is the same in kind.
type node string

func (n node) ShouldProvision(_ context.Context, claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[selected] == string(n)
}

func (n node) Provision(
	_ context.Context, wanted controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := n.volume(wanted)
	return volume, controller.ProvisioningFinished, err
}

func (n node) volume(wanted controller.ProvisionOptions) (*corev1.PersistentVolume, error) {
	for _, mode := range wanted.PVC.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return nil, fmt.Errorf("a folder of a node has no access mode %s", mode)
		}
	}
	path, directory := folder(wanted.PVName), corev1.HostPathDirectory
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whoever the pod runs as may write, whatever our umask
		return nil, err
	}
	here := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{string(n)}}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: wanted.PVName, Labels: map[string]string{corev1.LabelHostname: string(n)}},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *wanted.StorageClass.ReclaimPolicy,
			AccessModes:                   wanted.PVC.Spec.AccessModes,
			Capacity:                      wanted.PVC.Spec.Resources.Requests,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &directory},
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{here}}},
			}},
		},
	}, nil
}

func (n node) ShouldDelete(_ context.Context, volume *corev1.PersistentVolume) bool {
	return volume.Labels[corev1.LabelHostname] == string(n)
}

func (n node) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	return os.RemoveAll(folder(volume.Name))
}

func folder(volume string) string {
	return filepath.Join(root, volume)
}
