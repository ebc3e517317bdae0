// Starts containers over a CRI socket and tells how long each took, as the kubelet would see it.
//
// First line on stdin: a CreateContainerRequest, serialized, in base64. Each further line is a round: CreateContainer and StartContainer, timed together, then
// RemoveContainer, not timed. Answers each round with a line: microseconds.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	callTimeout  = time.Minute
	maxLineBytes = 1 << 20
)

func dial(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///cri", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}))
}

func startOne(client cri.RuntimeServiceClient, request *cri.CreateContainerRequest) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	begin := time.Now()
	created, err := client.CreateContainer(ctx, request)
	if err != nil {
		return 0, err
	}
	if _, err = client.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	_, err = client.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.ContainerId})
	return took, err
}

func serve(socket string) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	if !lines.Scan() {
		return fmt.Errorf("no request on stdin: %w", lines.Err())
	}
	bytes, err := base64.StdEncoding.DecodeString(lines.Text())
	if err != nil {
		return err
	}
	var request cri.CreateContainerRequest
	if err = proto.Unmarshal(bytes, &request); err != nil {
		return err
	}
	connection, err := dial(socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	client := cri.NewRuntimeServiceClient(connection)
	for lines.Scan() {
		took, err := startOne(client, &request)
		if err != nil {
			return err
		}
		fmt.Println(took.Microseconds())
	}
	return lines.Err()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bench-client SOCKET")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-client:", err)
		os.Exit(1)
	}
}
