// A peer for the ttrpc tests, made with containerd's own implementation. It talks on descriptor 3.
//
//	peer server          serves Echo, Fail, Slow and Metadata
//	peer client          calls the same methods of a server and prints "ok" or what went wrong
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const service = "voidbox.test.Peer"

type oneConnection struct {
	connection net.Conn
	once       sync.Once
	closed     chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	var first net.Conn
	l.once.Do(func() { first = l.connection })
	if first != nil {
		return first, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConnection) Close() error   { return nil }
func (l *oneConnection) Addr() net.Addr { return l.connection.LocalAddr() }

func text(unmarshal func(interface{}) error) (string, error) {
	var request types.StringValue
	if err := unmarshal(&request); err != nil {
		return "", err
	}
	return request.Value, nil
}

func serve(connection net.Conn) error {
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	server.Register(service, map[string]ttrpc.Method{
		"Echo": func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			value, err := text(unmarshal)
			return &types.StringValue{Value: value}, err
		},
		"Fail": func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			return nil, status.Error(codes.FailedPrecondition, "not today")
		},
		"Slow": func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"Metadata": func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			value, _ := ttrpc.GetMetadataValue(ctx, "key")
			return &types.StringValue{Value: value}, nil
		},
	})
	return server.Serve(context.Background(), &oneConnection{connection: connection, closed: make(chan struct{})})
}

func call(connection net.Conn) error {
	client := ttrpc.NewClient(connection)
	defer client.Close()
	ctx := context.Background()
	echo := func(value string) error {
		var response types.StringValue
		if err := client.Call(ctx, service, "Echo", &types.StringValue{Value: value}, &response); err != nil {
			return err
		}
		if response.Value != value {
			return fmt.Errorf("echo of %d bytes came back as %d", len(value), len(response.Value))
		}
		return nil
	}
	for _, value := range []string{"", "hello", strings.Repeat("x", 3<<20)} {
		if err := echo(value); err != nil {
			return err
		}
	}
	errors := make(chan error)
	for i := 0; i < 16; i++ {
		go func(i int) { errors <- echo(fmt.Sprint("parallel ", i)) }(i)
	}
	for i := 0; i < 16; i++ {
		if err := <-errors; err != nil {
			return err
		}
	}
	err := client.Call(ctx, service, "Fail", &types.StringValue{}, &types.StringValue{})
	if s, _ := status.FromError(err); s.Code() != codes.FailedPrecondition || s.Message() != "not today" {
		return fmt.Errorf("Fail answered %v", err)
	}
	err = client.Call(ctx, service, "Missing", &types.StringValue{}, &types.StringValue{})
	if s, _ := status.FromError(err); s.Code() != codes.Unimplemented {
		return fmt.Errorf("Missing answered %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := client.Call(short, service, "Slow", &types.StringValue{}, &types.StringValue{}); err == nil {
		return fmt.Errorf("Slow did not time out")
	}
	withMetadata := ttrpc.WithMetadata(ctx, ttrpc.MD{"key": []string{"value"}})
	var response types.StringValue
	if err := client.Call(withMetadata, service, "Metadata", &types.StringValue{}, &response); err != nil {
		return err
	}
	if response.Value != "value" {
		return fmt.Errorf("metadata arrived as %q", response.Value)
	}
	return nil
}

func main() {
	connection, err := net.FileConn(os.NewFile(3, "connection"))
	if err == nil && os.Args[1] == "server" {
		err = serve(connection)
	} else if err == nil {
		err = call(connection)
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}
