// SPDX-License-Identifier: MIT

// Go's net package: a goroutine for each client, on one processor. Lines go
// through bufio, whose writer is flushed when no complete line is left.
//
//	gonet echo|lines
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

const (
	readSize = 16384
	lineSize = 4096
	life     = 180 * time.Second
)

func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, readSize)
	for {
		got, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err = conn.Write(buf[:got]); err != nil {
			return
		}
	}
}

func hasLine(in *bufio.Reader) bool {
	rest, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(rest, '\n') >= 0
}

func lines(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, lineSize)
	out := bufio.NewWriterSize(conn, lineSize)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if _, err = out.Write(line); err != nil {
			return
		}
		if hasLine(in) {
			continue
		}
		if err = out.Flush(); err != nil {
			return
		}
	}
}

func main() {
	talks := map[string]func(net.Conn){"echo": echo, "lines": lines}
	mode := ""
	if len(os.Args) == 2 {
		mode = os.Args[1]
	}
	talk := talks[mode]
	if talk == nil {
		fmt.Fprintln(os.Stderr, "usage: gonet echo|lines")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	time.AfterFunc(life, func() { os.Exit(1) })
	// The backlog is the system's maximum, and nodelay is on by default.
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go talk(conn)
	}
}
