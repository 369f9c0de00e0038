/* SPDX-License-Identifier: MIT */
/*
 * Boost.Asio in the form of its examples: a session object that keeps itself
 * alive by the handlers that hold it, one io_context, one thread, and the hint
 * that says so. Lines are found by async_read_until() and answered by an
 * async_write() each.
 *
 *     asio echo|lines
 */
#include <boost/asio.hpp>
#include <memory>
#include <string>

#include <bench_setup.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace
{

class Echo : public std::enable_shared_from_this<Echo>
{
      public:
	// What is read fills the data.
	// cppcheck-suppress uninitMemberVar
	explicit Echo(tcp::socket peer) : socket(std::move(peer))
	{
	}

	void start()
	{
		auto self = shared_from_this();

		socket.async_read_some(asio::buffer(data),
		                       [self](error_code error, size_t got) {
					       if (!error)
						       self->answer(got);
				       });
	}

      private:
	void answer(size_t len)
	{
		auto self = shared_from_this();

		asio::async_write(socket, asio::buffer(data, len),
		                  [self](error_code error, size_t) {
					  if (!error)
						  self->start();
				  });
	}

	tcp::socket socket;
	char data[BENCH_READ];
};

class Lines : public std::enable_shared_from_this<Lines>
{
      public:
	explicit Lines(tcp::socket peer) : socket(std::move(peer))
	{
	}

	void start()
	{
		auto self = shared_from_this();

		asio::async_read_until(socket,
		                       asio::dynamic_buffer(data, BENCH_LINE),
		                       '\n',
		                       [self](error_code error, size_t line) {
					       if (!error)
						       self->answer(line);
				       });
	}

      private:
	void answer(size_t line)
	{
		auto self = shared_from_this();

		asio::async_write(socket, asio::buffer(data, line),
		                  [self, line](error_code error, size_t) {
					  if (error)
						  return;
					  self->data.erase(0, line);
					  self->start();
				  });
	}

	tcp::socket socket;
	std::string data;
};

template <class Session> void accept(tcp::acceptor &listener)
{
	listener.async_accept([&listener](error_code error,
	                                  tcp::socket socket) {
		if (!error)
			std::make_shared<Session>(std::move(socket))->start();
		accept<Session>(listener);
	});
}

} // namespace

int main(int argc, char **argv)
{
	bool lines = bench_begin("asio", argc == 2 ? argv[1] : nullptr);
	asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
	tcp::acceptor listener(context, tcp::v4(), bench_listen(0));

	if (lines)
		accept<Lines>(listener);
	else
		accept<Echo>(listener);
	bench_ready(listener.native_handle());
	context.run();
	return 0;
}
