// The stargz snapshotter, over Debian's library: Debian has no program of it.
//
//	snapshotter SOCKET DIR
//
// Nothing but what is read is fetched. By itself the snapshotter would fetch the rest in the background.
package main

import (
	"context"
	"log"
	"net"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/service"
	"google.golang.org/grpc"
)

func main() {
	socket, dir := os.Args[1], os.Args[2]
	settings := &service.Config{Config: config.Config{NoPrefetch: true, NoBackgroundFetch: true, NoPrometheus: true}}
	snapshotter, err := service.NewStargzSnapshotterService(context.Background(), dir, settings)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
