// Command etcd-bench is an etcd server, and a load on one by etcd's own client,
// for synod bench to compare with. It is a module of its own, so that nothing of
// ours depends on etcd's server.
//
//	etcd-bench serve …                etcd, with its own flags
//	etcd-bench load --endpoints … …   puts in a closed loop
//
// The load connects one client for each connection to the leader, lets each put
// once, prints {"Leader":i} with the leader's place among the endpoints, waits
// for a line, runs, and prints its result. Times are in nanoseconds.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
	case len(os.Args) > 1 && os.Args[1] == "load":
		err = load(os.Args[2:])
	default:
		err = errors.New("want serve or load")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd-bench:", err)
		os.Exit(1)
	}
}

// startMax bounds how long a cluster takes to answer.
const startMax = 30 * time.Second

func load(args []string) error {
	f := flag.NewFlagSet("load", flag.ExitOnError)
	endpoints := f.String("endpoints", "", "URLs of all members, separated by commas")
	cert := f.String("cert", "", "file of the certificate, of servers and clients")
	key := f.String("key", "", "file of its key")
	connections := f.Int("connections", 1, "how many clients")
	duration := f.Duration("duration", time.Second, "how long")
	keys := f.Int("keys", 1000, "how many keys")
	value := f.String("value", "", "what to put")
	if err := f.Parse(args); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	config := clientv3.Config{
		TLS:         &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		DialTimeout: startMax,
	}
	list := strings.Split(*endpoints, ",")
	leader, err := findLeader(config, list)
	if err != nil {
		return err
	}
	config.Endpoints = list[leader : leader+1]
	clients := make([]*clientv3.Client, *connections)
	for i := range clients {
		if clients[i], err = clientv3.New(config); err != nil {
			return err
		}
		defer clients[i].Close()
		if _, err := clients[i].Put(context.Background(), name(i, 0, *keys), *value); err != nil {
			return err
		}
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]int{"Leader": leader}); err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	res, err := run(clients, *duration, *keys, *value)
	return errors.Join(err, out.Encode(res))
}

// findLeader waits until the members have a leader, and says which it is.
func findLeader(config clientv3.Config, endpoints []string) (int, error) {
	config.Endpoints = endpoints
	c, err := clientv3.New(config)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startMax)
	defer cancel()
	for {
		for i, endpoint := range endpoints {
			status, err := c.Status(ctx, endpoint)
			if err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId {
				return i, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("the cluster has no leader")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type result struct {
	Requests          int
	Elapsed, P50, P99 time.Duration
}

func run(clients []*clientv3.Client, duration time.Duration, keys int, value string) (result, error) {
	latencies := make([][]time.Duration, len(clients))
	errs := make([]error, len(clients))
	start := time.Now()
	end := start.Add(duration)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := 0; ; n++ {
				sent := time.Now()
				if sent.After(end) {
					return
				}
				if _, err := c.Put(context.Background(), name(i, n%100, keys), value); err != nil {
					errs[i] = err
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	res := result{Elapsed: time.Since(start)}
	if err := errors.Join(errs...); err != nil {
		return res, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	res.Requests = len(all)
	res.P50, res.P99 = all[len(all)/2], all[min(len(all)*99/100, len(all)-1)]
	return res, nil
}

// name is the n-th key of a connection.
func name(connection, n, keys int) string { return fmt.Sprintf("%d", (connection*131+n)%keys) }
